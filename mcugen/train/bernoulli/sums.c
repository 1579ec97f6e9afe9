/*
 * Distributions of sums of independent signs, and the gradients of P(sum >= 0).
 *
 * A sum of n terms x_k * w_k, each -1 or +1, is n - 2R, where R counts the terms that are -1; it is
 * not negative where R <= middle = n / 2. x and w come as expectations 2 P(+1) - 1:
 *
 *   x (n, columns)   w (n, outputs)   z (outputs, columns)   window (outputs, WINDOW, columns)
 *
 * `columns` is a multiple of LANES: sixteen columns go through the same instructions. `window` keeps
 * P(R = r) for r = middle - 2 ... middle + 3, all that the approximate gradients need.
 *
 * mcugen/train/bernoulli/sums.py says the same in PyTorch.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, WINDOW = 6, BELOW = 2, TERMS = 4, GRADIENT_PRECISE = 0, GRADIENT_APPROX1 = 1 };

typedef float vec __attribute__((vector_size(64)));
typedef int32_t bits __attribute__((vector_size(64)));

/* Where a distribution is not negligible: f[lo] ... f[hi]. Below and above, f is 0. */
typedef struct {
    int lo, hi;
} band;

/* Probabilities below this end a band. Over 800 terms the lost mass stays below 1e-7. */
static const float NEGLIGIBLE = 1e-10f;

static inline vec load(const float *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float *to, vec v) { memcpy(to, &v, sizeof v); }

static inline vec choose(bits where, vec yes, vec no) {
    return (vec)(((bits)yes & where) | ((bits)no & ~where));
}

static int negligible(vec v) {
    int all = 1;
    for (int lane = 0; lane < LANES; lane++) {
        all &= v[lane] < NEGLIGIBLE;
    }
    return all;
}

static float total(vec v) {
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++) {
        sum += v[lane];
    }
    return sum;
}

/* P(x w = +1) from the expectations of x and w. */
static inline vec plus(vec x, float w) { return 0.5f + 0.5f * w * x; }

static inline vec probability(const vec *f, band in, int r) {
    return r < in.lo || r > in.hi ? (vec){0} : f[r];
}

/*
 * P(R = r) for r up to `top` into f, which has TERMS zeros in front of f[0] and room up to
 * f[top + TERMS]. x holds one block of columns, w one output with stride `outputs`.
 */
static band distribution(const vec *x, const float *w, int n, int outputs, int top, vec *f) {
    band in = {0, 0};
    memset(f, 0, (size_t)(top + 1) * sizeof *f);
    f[0] = 1.0f - (vec){0};
    for (int k = 0; k < n; k += TERMS) {
        int terms = n - k < TERMS ? n - k : TERMS;
        /* The distribution of these few terms: a polynomial of degree `terms`. */
        vec c0 = 1.0f - (vec){0}, c1 = {0}, c2 = {0}, c3 = {0}, c4 = {0};
        for (int t = k; t < k + terms; t++) {
            vec p = plus(x[t], w[(size_t)t * (size_t)outputs]), q = 1.0f - p;
            c4 = p * c4 + q * c3;
            c3 = p * c3 + q * c2;
            c2 = p * c2 + q * c1;
            c1 = p * c1 + q * c0;
            c0 = p * c0;
        }
        in.hi = in.hi + terms < top ? in.hi + terms : top;
        for (int r = in.hi; r >= in.lo; r--) {
            f[r] = c0 * f[r] + c1 * f[r - 1] + c2 * f[r - 2] + c3 * f[r - 3] + c4 * f[r - 4];
        }
        while (in.lo < in.hi && negligible(f[in.lo])) {
            f[in.lo++] = (vec){0};
        }
        while (in.hi > in.lo && negligible(f[in.hi])) {
            f[in.hi--] = (vec){0};
        }
    }
    return in;
}

static vec *vectors(size_t count) { return aligned_alloc(sizeof(vec), count * sizeof(vec)); }

static void load_block(const float *x, int n, int columns, int first, vec *block) {
    for (int k = 0; k < n; k++) {
        block[k] = load(x + (size_t)k * (size_t)columns + first);
    }
}

/* z = P(sum >= 0) and the window. Returns -1 where there is no memory, else 0. */
int sums_forward(const float *x, const float *w, int n, int outputs, int columns, float *z,
                 float *window) {
    int middle = n / 2;
    int top = middle + WINDOW - BELOW - 1 < n ? middle + WINDOW - BELOW - 1 : n;
    vec *memory = vectors((size_t)(TERMS + top + 1)), *block = vectors((size_t)n);
    if (memory == NULL || block == NULL) {
        free(memory);
        free(block);
        return -1;
    }
    memset(memory, 0, TERMS * sizeof *memory);
    vec *f = memory + TERMS;
    for (int first = 0; first < columns; first += LANES) {
        load_block(x, n, columns, first, block);
        for (int j = 0; j < outputs; j++) {
            band in = distribution(block, w + j, n, outputs, top, f);
            vec sum = {0};
            for (int r = in.lo; r <= in.hi && r <= middle; r++) {
                sum += f[r];
            }
            store(z + (size_t)j * (size_t)columns + first, sum);
            for (int i = 0; i < WINDOW; i++) {
                size_t row = (size_t)j * WINDOW + (size_t)i;
                store(window + row * (size_t)columns + first,
                      probability(f, in, middle - BELOW + i));
            }
        }
    }
    free(memory);
    free(block);
    return 0;
}

/*
 * P(the others' R = middle), in the minimum-norm solution of the 3 or 5 central equations
 * larger x[r] + smaller x[r - 1] = e[r]; `e` is mirrored where the term is rather -1 than +1.
 */
static inline vec approximate(const vec *e, int equations, vec larger, vec smaller) {
    vec d = larger * larger + smaller * smaller, o = larger * smaller;
    if (equations == 3) {
        vec det = d * d - 2.0f * o * o, centre = d * e[1] - o * (e[0] + e[2]);
        return (larger * centre * d + smaller * (e[2] * det - o * centre)) / (det * d);
    }
    vec inverse = 1.0f / d, ratio[5], right[5];
    right[0] = e[0] * inverse;
    for (int i = 1; i < 5; i++) {
        ratio[i - 1] = o * inverse;
        inverse = 1.0f / (d - o * ratio[i - 1]);
        right[i] = (e[i] - o * right[i - 1]) * inverse;
    }
    vec after = right[3] - ratio[3] * right[4];
    return larger * (right[2] - ratio[2] * after) + smaller * after;
}

/* The same without approximation: one term taken out of the distribution f of all. */
static inline vec without(const vec *f, band in, int middle, bits likely, vec larger, vec smaller) {
    vec scale = 1.0f / larger, ratio = smaller * scale, up = {0}, down = {0};
    for (int r = in.lo; r <= middle; r++) {
        up = f[r] * scale - ratio * up;
    }
    for (int r = in.hi; r > middle; r--) {
        down = f[r] * scale - ratio * down;
    }
    return choose(likely, up, down);
}

/* One block of columns and one output in the backward pass. */
typedef struct {
    const vec *x;
    const float *w; /* with stride `outputs` */
    int n, outputs, gradient;
    vec y[WINDOW], gz;
    const vec *f; /* with `in`: for GRADIENT_PRECISE only */
    band in;
} block_of_output;

/* gz * P(the others' R = middle) for term k. */
static inline vec share_of(const block_of_output *b, int k) {
    vec p = plus(b->x[k], b->w[(size_t)k * (size_t)b->outputs]), q = 1.0f - p, e[5], share;
    bits likely = p >= q;
    vec larger = choose(likely, p, q), smaller = 1.0f - larger;
    if (b->gradient == GRADIENT_PRECISE) {
        share = without(b->f, b->in, b->n / 2, likely, larger, smaller);
    } else {
        int skip = b->gradient == GRADIENT_APPROX1, equations = WINDOW - 1 - 2 * skip;
        for (int i = 0; i < equations; i++) {
            e[i] = choose(likely, b->y[skip + i], b->y[WINDOW - 1 - skip - i]);
        }
        share = approximate(e, equations, larger, smaller);
    }
    return choose(share > 0.0f, share, (vec){0}) * b->gz;
}

/*
 * The gradients by P(x = +1) and P(w = +1), from gz (outputs, columns), that by z: gx (n, columns),
 * which must be 0 before, unless it is NULL, and gw (n, outputs). shape: n, outputs, columns.
 * Returns -1 where there is no memory, else 0.
 */
int sums_backward(const float *x, const float *w, const float *window, const float *gz,
                  int gradient, const int *shape, float *gx, float *gw) {
    int n = shape[0], outputs = shape[1], columns = shape[2];
    vec *memory = vectors((size_t)(TERMS + n + 1)), *block = vectors((size_t)n);
    vec *sums = vectors((size_t)n);
    if (memory == NULL || block == NULL || sums == NULL) {
        free(memory);
        free(block);
        free(sums);
        return -1;
    }
    memset(memory, 0, TERMS * sizeof *memory);
    vec *f = memory + TERMS;
    for (int j = 0; j < outputs; j++) {
        block_of_output b = {block, w + j, n, outputs, gradient, {{0}}, {0}, f, {0, 0}};
        memset(sums, 0, (size_t)n * sizeof *sums);
        for (int first = 0; first < columns; first += LANES) {
            load_block(x, n, columns, first, block);
            b.gz = load(gz + (size_t)j * (size_t)columns + first);
            for (int i = 0; i < WINDOW; i++) {
                size_t row = (size_t)j * WINDOW + (size_t)i;
                b.y[i] = load(window + row * (size_t)columns + first);
            }
            if (gradient == GRADIENT_PRECISE) {
                b.in = distribution(block, b.w, n, outputs, n, f);
            }
            for (int k = 0; k < n; k++) {
                vec share = share_of(&b, k);
                sums[k] += share * block[k];
                if (gx != NULL) {
                    float *to = gx + (size_t)k * (size_t)columns + first;
                    store(to, load(to) + share * b.w[(size_t)k * (size_t)outputs]);
                }
            }
        }
        for (int k = 0; k < n; k++) {
            gw[(size_t)k * (size_t)outputs + (size_t)j] = total(sums[k]);
        }
    }
    free(memory);
    free(block);
    free(sums);
    return 0;
}
