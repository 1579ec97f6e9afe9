/* text.h: words and numbers on the serial line. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stdint.h>

void put(const char *words);

/* In decimal, without leading zeros. */
void put_number(uint32_t value);

/* The last `digits` decimal digits, 1 to 10 of them. */
void put_digits(uint32_t value, uint32_t digits);

/* Two hexadecimal digits. */
void put_hex(uint8_t byte);

/* `words`, `value`, `end` and the line's end. */
void put_line_with(const char *words, uint32_t value, const char *end);

/* The number of at most nine decimal digits that `word` is; false where it is none. */
bool read_number(const char *word, uint32_t *value);

#endif
