/* session.h: the model behind the protocol. */
#ifndef SESSION_H
#define SESSION_H

#include <stdint.h>

#include "platform.h"

/* Prepares the model; `clock` and `cycle_source` are what identify reports. */
void session_start(platform_clock clock, uint8_t cycle_source);

/* Whether the host asked for a restart, to be made once the reply has left. */
uint8_t session_wants_reset(void);

/* Called by the model before each layer and after the last (MODEL_LAYER_HOOK). */
void session_layer_hook(uint32_t layer);

#endif
