/* mlperf.h: the text protocol of the MLPerf Tiny benchmark, on the same line as the frames.
 *
 * A command is printable text that ends in `%`; each is answered by lines, the last of them m-ready.
 * No frame is taken for text: bytes since the last zero have to be printable, and the second byte
 * of a frame is its version. A valid frame ends the text mode, the command `name%` begins it again;
 * after a reset it is on. docs/serial.md lists the commands.
 */
#ifndef MLPERF_H
#define MLPERF_H

#include <stdint.h>

#include "platform.h"

/* Says that the image is up; `clock` is what times are counted by. */
void mlperf_start(platform_clock clock);

/* A byte from the line, whatever it belongs to. */
void mlperf_receive(uint8_t byte);

/* A valid frame has come: what follows is not text. */
void mlperf_stop(void);

/* To be called at least every 2^31 core cycles, lest time stand still. */
void mlperf_tick(void);

#endif
