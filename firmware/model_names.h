/* model_names.h: the model of this image under names that do not depend on it.
 *
 * With -DMODEL_PREFIX=digits and -DMODEL_MACRO=DIGITS, MODEL(run) is digits_run and
 * MODEL_CONSTANT(OK) is DIGITS_OK.
 */
#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include "model.h"

#define PASTE(prefix, name) prefix##_##name
#define PASTE_EXPANDED(prefix, name) PASTE(prefix, name)
#define MODEL(name) PASTE_EXPANDED(MODEL_PREFIX, name)
#define MODEL_CONSTANT(name) PASTE_EXPANDED(MODEL_MACRO, name)

#define LAYER_COUNT MODEL_CONSTANT(LAYER_COUNT)
#define ARENA_BYTES MODEL_CONSTANT(ARENA_BYTES)
#define INPUT_BYTES MODEL_CONSTANT(INPUT_BYTES)
#define OUTPUT_BYTES MODEL_CONSTANT(OUTPUT_BYTES)
#define OUTPUT_COUNT MODEL_CONSTANT(OUTPUT_COUNT)

#endif
