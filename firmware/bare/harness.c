/* One context, and the functions of the generated interface that an emulator calls by their names.
 *
 * MODEL_NAME is the model's C prefix; the table below keeps them through --gc-sections and lets the
 * compiler check that they have the types docs/architecture.md promises.
 */
#include "model.h"

#ifndef MODEL_ARENA_SECTION
#define MODEL_ARENA_SECTION
#endif

#define PASTE_EXPANDED(a, b) a##b
#define PASTE(a, b) PASTE_EXPANDED(a, b)
#define MODEL(suffix) PASTE(MODEL_NAME, suffix)

MODEL_ARENA_SECTION static MODEL(_t) bare_context;

const struct {
    MODEL(_t) *context;
    MODEL(_status) (*init)(MODEL(_t) *net);
    MODEL(_status) (*reset)(MODEL(_t) *net);
    MODEL(_status) (*run)(MODEL(_t) *net);
    __typeof__(MODEL(_input)) *input; /* element types differ from model to model */
    __typeof__(MODEL(_output)) *output;
} bare_roots = {&bare_context, MODEL(_init), MODEL(_reset), MODEL(_run), MODEL(_input), MODEL(_output)};
