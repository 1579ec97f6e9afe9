/* protocol.h: frames in, frames out. Knows no chip and no model, so that it also runs on a host.
 *
 * A byte from the line goes to protocol_receive; when it completes a valid frame, the frame is
 * answered through uart_write before the call returns. Damaged frames are dropped in silence: the
 * host sends again. A frame sent again is answered from the last reply, its work is not done twice.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol_messages.h"

void protocol_start(void);

/* Whether this byte completed a valid frame. */
bool protocol_receive(uint8_t byte);

/* CRC-32 (polynomial 0x04C11DB7, reflected), as zlib computes it. Start with crc = 0. */
uint32_t crc32(uint32_t crc, const uint8_t *data, uint32_t length);

/* Supplied by the application (session.c). `length` has been checked against the message's rule.
 * Writes the reply's payload, at most PROTOCOL_PAYLOAD_MAX bytes, and returns its length. */
uint32_t session_answer(uint8_t type, const uint8_t *request, uint32_t length, uint8_t *reply);

/* Whether a run has ended whose output is still there. */
uint8_t session_has_result(void);

#endif
