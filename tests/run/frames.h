/* frames.h: frames made and read by code that shares nothing with protocol.c, for the harnesses that
 * test it. Include protocol.c before. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAW_PAYLOAD_MAX 300u /* more than a frame holds */
#define ENCODED_MAX 400u

static unsigned long long frames_made;

static void check(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static uint32_t crc_bit_by_bit(const uint8_t *data, size_t length)
{
    static uint32_t table[256];
    if (table[1] == 0u) {
        for (uint32_t i = 0u; i < 256u; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++) {
                table[i] = (table[i] & 1u) ? (table[i] >> 1) ^ 0xEDB88320u : table[i] >> 1;
            }
        }
    }
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0u; i < length; i++) {
        crc = table[(crc ^ data[i]) & 0xFFu] ^ (crc >> 8);
    }
    return ~crc;
}

/* A frame as it is before it is encoded, checksum included. */
typedef struct {
    uint8_t bytes[6u + RAW_PAYLOAD_MAX + 4u];
    size_t length;
} raw_frame;

static raw_frame make_raw(const uint8_t header[6], const uint8_t *payload, size_t length)
{
    raw_frame raw;
    memcpy(raw.bytes, header, 6u);
    memcpy(raw.bytes + 6, payload, length);
    put_u32(raw.bytes + 6u + length, crc_bit_by_bit(raw.bytes, 6u + length));
    raw.length = 10u + length;
    frames_made++;
    return raw;
}

/* A request with all its fields right. */
static raw_frame make_request(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t length)
{
    uint8_t header[6] = {PROTOCOL_VERSION, type};
    put_u16(header + 2, sequence);
    put_u16(header + 4, (uint16_t)length);
    return make_raw(header, payload, length);
}

/* Returns the bytes of `raw` on the line, between two zeros; `out` holds ENCODED_MAX. */
static size_t encode(const raw_frame *raw, uint8_t *out)
{
    size_t code_at = 1u;
    size_t at = 2u;
    out[0] = 0u;
    for (size_t i = 0u; i < raw->length; i++) {
        if (raw->bytes[i] != 0u) {
            out[at++] = raw->bytes[i];
        }
        if (raw->bytes[i] == 0u || at - code_at == 255u) {
            out[code_at] = (uint8_t)(at - code_at);
            code_at = at++;
        }
    }
    out[code_at] = (uint8_t)(at - code_at);
    out[at++] = 0u;
    return at;
}

static size_t decode(const uint8_t *in, size_t length, uint8_t *body)
{
    size_t at = 0u;
    size_t made = 0u;
    while (at < length) {
        const uint8_t code = in[at++];
        check(at + code - 1u <= length, "blocks are whole");
        memcpy(body + made, in + at, code - 1u);
        made += code - 1u;
        at += code - 1u;
        if (code < 255u && at < length) {
            body[made++] = 0u;
        }
    }
    return made;
}

typedef struct {
    uint8_t type;
    uint16_t sequence;
    uint32_t length;
    uint8_t payload[PROTOCOL_PAYLOAD_MAX];
} answer;

static answer read_reply(const uint8_t *encoded, size_t length)
{
    uint8_t body[2u * FRAME_MAX];
    answer found;
    check(length <= sizeof(body), "replies have a longest length");
    const size_t bytes = decode(encoded, length, body);
    check(bytes >= 11u, "replies have a header, a status and a checksum");
    check(bytes <= FRAME_MAX, "replies fit a frame");
    check(get_u32(body + bytes - 4u) == crc_bit_by_bit(body, bytes - 4u), "checksums are right");
    check(body[0] == PROTOCOL_VERSION, "replies say their version");
    found.type = body[1];
    found.sequence = get_u16(body + 2);
    found.length = get_u16(body + 4);
    check(found.length == bytes - 10u, "lengths are right");
    memcpy(found.payload, body + 6, found.length);
    check((found.type & PROTOCOL_REPLY_BIT) != 0u, "replies are marked");
    check(found.payload[0] <= STATUS_MODEL_FAILED, "statuses are known");
    return found;
}

#endif
