/* input_buffer.c: an input that comes in hexadecimal digits. See input_buffer.h. */
#include "input_buffer.h"

#include <stdbool.h>
#include <stddef.h>

#include "model_names.h"
#include "session.h"
#include "text.h"

#define PRINTED_IN_ROW 8u

/* The runner sends pixels from 0 to 255. An int8 input whose zero point is -128 takes them less 128,
 * as the benchmark's reference firmware does it: their top bit flips. */
#if MODEL_CONSTANT(INPUT_ZERO_POINT) == -128
#define FLIPPED 0x80u
#else
#define FLIPPED 0u
#endif

static struct {
    uint8_t *bytes;
    uint32_t expected;
    uint32_t loaded;
} buffer;

/* The value of a hexadecimal digit; 16 for another character. */
static uint8_t hex_digit(char character)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    for (uint8_t i = 0u; digits[i] != '\0'; i++) {
        if (digits[i] == character) {
            return i < 16u ? i : (uint8_t)(i - 6u);
        }
    }
    return 16u;
}

void input_forget(void)
{
    buffer.loaded = 0u;
    buffer.expected = 0u;
}

const uint8_t *input_loaded(void)
{
    return buffer.loaded == INPUT_BYTES ? buffer.bytes : NULL;
}

void input_load(const char *word)
{
    uint32_t room;
    uint32_t bytes;
    buffer.bytes = session_spare_ram(&room);
    input_forget();
    if (word == NULL) {
        put("e-[Command 'db load' needs a number of bytes]\r\n");
        return;
    }
    if (!read_number(word, &bytes)) {
        bytes = 0u;
    }
    if (bytes != INPUT_BYTES) {
        put_line_with("e-[The model takes ", INPUT_BYTES, " bytes]");
    } else if (bytes > room) {
        put_line_with("e-[Spare RAM holds ", room, " bytes]");
    } else {
        buffer.expected = bytes;
        put_line_with("m-[Expecting ", bytes, " bytes]");
    }
}

void input_print(void)
{
    for (uint32_t i = 0u; i < buffer.loaded; i++) {
        put(i % PRINTED_IN_ROW == 0u ? "m-buffer-" : "-");
        put_hex((uint8_t)(buffer.bytes[i] ^ FLIPPED));
        if ((i + 1u) % PRINTED_IN_ROW == 0u) {
            put("\r\n");
        }
    }
    if (buffer.loaded % PRINTED_IN_ROW != 0u) {
        put("\r\n");
    }
}

/* Whether `digits` are pairs of hexadecimal digits. */
static bool are_bytes(const char *digits)
{
    uint32_t count = 0u;
    for (; digits[count] != '\0'; count++) {
        if (hex_digit(digits[count]) > 15u) {
            return false;
        }
    }
    return count % 2u == 0u;
}

void input_store(const char *digits)
{
    if (!are_bytes(digits)) {
        put("e-[Not pairs of hexadecimal digits]\r\n");
        return;
    }
    for (uint32_t i = 0u; digits[i] != '\0'; i += 2u) {
        if (buffer.loaded == buffer.expected) {
            put("e-[More bytes than announced by 'db load']\r\n");
            input_forget();
            return;
        }
        const uint32_t byte = 16u * hex_digit(digits[i]) + hex_digit(digits[i + 1u]);
        buffer.bytes[buffer.loaded] = (uint8_t)(byte ^ FLIPPED);
        buffer.loaded++;
    }
    if (buffer.loaded == buffer.expected) {
        put("m-load-done\r\n");
    }
}
