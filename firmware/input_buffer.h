/* input_buffer.h: the model's input as the benchmark's command `db` fills it, in spare RAM. */
#ifndef INPUT_BUFFER_H
#define INPUT_BUFFER_H

#include <stdint.h>

/* `db load`: `word` is the number of bytes to come, or null. */
void input_load(const char *word);

/* `db HH...`: the next bytes, all of `digits` or none. */
void input_store(const char *digits);

/* `db print` */
void input_print(void);

/* The whole input; null while bytes are missing. */
const uint8_t *input_loaded(void);

void input_forget(void);

#endif
