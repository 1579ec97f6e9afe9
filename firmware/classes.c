/* classes.c: the model's outputs as probabilities: a softmax in integers. See classes.h. */
#include "classes.h"

#include "model_names.h"
#include "session.h"

/* Exponentials: gaps have 20 bits of fraction, and exp(-30) is nothing in thousandths. */
#define FRACTION_BITS 20
#define GAP_MAX ((uint64_t)30u << FRACTION_BITS)
#define LOG2_E 94548u /* in units of 2^-16 */

/* More outputs than this are no classes. */
#define CLASSES_MAX 256u
#define CLASSES_MIN 2u

/* 2^-x in units of 2^-16, for x in units of 2^-20: the factors 2^-2^-k, k = 1 to 16, of the bits of
 * the fraction, in units of 2^-31. */
static uint32_t power_of_half(uint32_t x)
{
    static const uint32_t factors[16] = {
        0x5A82799Au, 0x6BA27E65u, 0x75606374u, 0x7A92BE8Bu,
        0x7D41D96Eu, 0x7E9F0606u, 0x7F4F08AEu, 0x7FA765ADu,
        0x7FD3AB29u, 0x7FE9D3A9u, 0x7FF4E959u, 0x7FFA748Eu,
        0x7FFD3A3Fu, 0x7FFE9D1Eu, 0x7FFF4E8Eu, 0x7FFFA747u,
    };
    const uint32_t halvings = x >> FRACTION_BITS;
    if (halvings > 31u) {
        return 0u;
    }
    uint64_t power = 0x80000000u;
    for (uint32_t k = 0u; k < 16u; k++) {
        if (((x >> ((uint32_t)FRACTION_BITS - 1u - k)) & 1u) != 0u) {
            power = (power * factors[k]) >> 31;
        }
    }
    return (uint32_t)((power >> halvings) >> 15);
}

/* exp(-gap), for a gap in units of the output's scale, in units of 2^-16. */
static uint32_t likelihood(uint32_t gap)
{
    const int32_t shift = MODEL_CONSTANT(OUTPUT_SCALE_SHIFT) - FRACTION_BITS;
    uint64_t scaled = (uint64_t)gap * (uint32_t)MODEL_CONSTANT(OUTPUT_SCALE_NUMERATOR);
    for (int32_t i = 0; i < shift; i++) {
        scaled >>= 1;
    }
    for (int32_t i = shift; i < 0; i++) {
        if (scaled > GAP_MAX) {
            return 0u;
        }
        scaled <<= 1;
    }
    if (scaled > GAP_MAX) {
        return 0u;
    }
    return power_of_half((uint32_t)((scaled * LOG2_E) >> 16));
}

static int32_t score(uint32_t output)
{
    return (int32_t)MODEL(output)(session_model())[output];
}

static uint32_t gap_to(int32_t best, uint32_t output)
{
    return (uint32_t)best - (uint32_t)score(output);
}

bool classes_are_there(void)
{
    const uint32_t element_bytes = sizeof(MODEL(output)(session_model())[0]);
    if (OUTPUT_COUNT * element_bytes != OUTPUT_BYTES) {
        return false;
    }
    if (OUTPUT_COUNT < CLASSES_MIN) {
        return false;
    }
    return OUTPUT_COUNT <= CLASSES_MAX;
}

class_scale classes_scale(void)
{
    class_scale scale = {score(0u), 0u};
    for (uint32_t i = 1u; i < OUTPUT_COUNT; i++) {
        if (score(i) > scale.best) {
            scale.best = score(i);
        }
    }
    for (uint32_t i = 0u; i < OUTPUT_COUNT; i++) {
        scale.sum += likelihood(gap_to(scale.best, i));
    }
    return scale;
}

/* An output from -128 on in steps of 1/256 is a softmax's, as TFLite's specification of quantized
 * operators has it: its levels are the probabilities already. */
#if MODEL_CONSTANT(OUTPUT_ZERO_POINT) == -128
#define LEVELS_PER_ONE \
    ((MODEL_CONSTANT(OUTPUT_SCALE_NUMERATOR) == 1) << MODEL_CONSTANT(OUTPUT_SCALE_SHIFT))
#else
#define LEVELS_PER_ONE 0
#endif

#if LEVELS_PER_ONE == 256
uint32_t class_thousandths(class_scale scale, uint32_t output)
{
    (void)scale;
    const uint32_t level = (uint32_t)score(output) + 128u;
    return (1000u * level + 128u) / 256u;
}
#else
uint32_t class_thousandths(class_scale scale, uint32_t output)
{
    return (1000u * likelihood(gap_to(scale.best, output)) + scale.sum / 2u) / scale.sum;
}
#endif
