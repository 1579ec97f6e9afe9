/* session.h: the model behind the protocol. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "model_names.h"
#include "platform.h"

/* Prepares the model; `clock` and `cycle_source` are what identify reports. */
void session_start(platform_clock clock, uint8_t cycle_source);

/* Whether the host asked for a restart, to be made once the reply has left. */
uint8_t session_wants_reset(void);

/* Called by the model before each layer and after the last (MODEL_LAYER_HOOK). */
void session_layer_hook(uint32_t layer);

/* Runs the model on INPUT_BYTES of `input`, which it leaves alone; false where the model failed. */
bool session_run(const uint8_t *input);

/* To read the output of the last run. */
const MODEL(t) *session_model(void);

/* RAM that nothing else uses until the next frame comes, and its size. */
uint8_t *session_spare_ram(uint32_t *bytes);

#endif
