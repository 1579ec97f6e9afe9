/* text.c: words and numbers on the serial line, without printf. See text.h. */
#include "text.h"

#include "platform.h"

#define DIGITS_MAX 9u /* of a number: fits 32 bits */

void put(const char *words)
{
    for (uint32_t i = 0u; words[i] != '\0'; i++) {
        uart_write((uint8_t)words[i]);
    }
}

void put_digits(uint32_t value, uint32_t digits)
{
    uint32_t unit = 1u;
    for (uint32_t i = 1u; i < digits; i++) {
        unit *= 10u;
    }
    for (; unit > 0u; unit /= 10u) {
        uart_write((uint8_t)('0' + (value / unit) % 10u));
    }
}

void put_number(uint32_t value)
{
    uint32_t digits = 1u;
    for (uint32_t rest = value; rest > 9u; rest /= 10u) {
        digits++;
    }
    put_digits(value, digits);
}

void put_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    uart_write((uint8_t)digits[byte >> 4]);
    uart_write((uint8_t)digits[byte & 15u]);
}

void put_line_with(const char *words, uint32_t value, const char *end)
{
    put(words);
    put_number(value);
    put(end);
    put("\r\n");
}

bool read_number(const char *word, uint32_t *value)
{
    *value = 0u;
    for (uint32_t i = 0u; word[i] != '\0'; i++) {
        const uint32_t digit = (uint32_t)(uint8_t)word[i] - (uint32_t)'0';
        if (digit > 9u) {
            return false;
        }
        if (i == DIGITS_MAX) {
            return false;
        }
        *value = 10u * *value + digit;
    }
    return true;
}
