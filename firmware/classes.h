/* classes.h: the outputs of a classifier as probabilities, for those who compare them so.
 *
 * The probability of output i is exp(score i) / sum of all exp(score), its score being the output
 * times the output's scale; thousandths are off by one at most. Where the model ends in a softmax,
 * its outputs are the probabilities.
 */
#ifndef CLASSES_H
#define CLASSES_H

#include <stdbool.h>
#include <stdint.h>

/* The best score, as the model stores it, and the sum of exp(score - best) in units of 2^-16. */
typedef struct {
    int32_t best;
    uint32_t sum;
} class_scale;

/* Whether each output is the score of a class: a number of its own, and neither one nor many. */
bool classes_are_there(void);

class_scale classes_scale(void);

/* The probability of class `output`. */
uint32_t class_thousandths(class_scale scale, uint32_t output);

#endif
