/* line_noise.c: firmware/protocol.c behind a noisy line. usage: line_noise FRAMES SEED
 *
 * Each frame is disturbed as it is on the line, encoded and between its zeros: bits flipped, bursts,
 * bytes lost, inserted and doubled. A clean frame follows each. What the firmware accepts must be a
 * frame that was sent, byte for byte, and the clean one must be among them: it is heard at once,
 * whatever came before. Every flip of one or two bits of a frame of 64 bytes is tried, too.
 */
#include "protocol.c"

#include "frames.h"

#define ACCEPTED_MAX 8u
#define PIECE_MAX 16u
#define DISTURBANCES_MAX 4u
#define DISTURBED_MAX (ENCODED_MAX + DISTURBANCES_MAX * PIECE_MAX)
#define CHUNK_ON_LINE 64u /* of the frame whose bits are flipped one by one and two by two */

static uint64_t random_state;

static struct {
    uint8_t frames[ACCEPTED_MAX][FRAME_MAX];
    uint32_t count;
} accepted;

static uint8_t sent[4u * ENCODED_MAX];
static uint32_t sent_bytes;

static struct {
    unsigned long long disturbed;
    unsigned long long kept; /* accepted all the same, being what was sent */
    unsigned long long wrong;
    unsigned long long lost; /* clean frames that were not accepted */
} told;

/* What protocol.c asks for: every request is answered with what it held. */

void uart_write(uint8_t byte)
{
    check(sent_bytes < sizeof(sent), "a frame is answered with little");
    sent[sent_bytes] = byte;
    sent_bytes++;
}

uint8_t session_has_result(void)
{
    return 1u;
}

uint32_t session_answer(uint8_t type, const uint8_t *request, uint32_t length, uint8_t *reply)
{
    const uint32_t echoed = length < PROTOCOL_PAYLOAD_MAX ? length : PROTOCOL_PAYLOAD_MAX - 1u;
    (void)type;
    reply[0] = STATUS_OK;
    memcpy(reply + 1, request, echoed);
    return echoed + 1u;
}

/* splitmix64 (Steele, Lea and Flood, 2014) */
static uint32_t random_below(uint32_t bound)
{
    random_state += 0x9E3779B97F4A7C15u;
    uint64_t mixed = random_state;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)(((mixed ^ (mixed >> 31)) >> 32) % bound);
}

static void randomize(uint8_t *bytes, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        bytes[i] = (uint8_t)random_below(256u);
    }
}

/* A request that the firmware does not refuse; many have long runs of zeros. */
static raw_frame any_request(uint16_t sequence)
{
    const message_rule rule = rules[random_below(MESSAGE_COUNT)];
    const uint32_t spare = (uint32_t)rule.request_bytes_max - rule.request_bytes_min;
    const uint32_t length = rule.request_bytes_min + random_below(spare + 1u);
    uint8_t payload[PROTOCOL_PAYLOAD_MAX] = {0};
    randomize(payload, random_below(4u) == 0u ? length / 2u : length);
    return make_request(rule.type, sequence, payload, length);
}

/* One disturbance somewhere on the line; returns the new length. */
static size_t disturb(uint8_t *line, size_t length)
{
    uint8_t piece[PIECE_MAX];
    const size_t at = random_below((uint32_t)length);
    const size_t left = length - at;
    const size_t wanted = 1u + random_below(PIECE_MAX);
    const size_t size = wanted < left ? wanted : left;
    randomize(piece, sizeof(piece));
    switch (random_below(5u)) {
    case 0:
        line[at] ^= (uint8_t)(1u << random_below(8u));
        return length;
    case 1:
        memcpy(line + at, piece, size);
        return length;
    case 2:
        if (size == length) {
            return length;
        }
        memmove(line + at, line + at + size, left - size);
        return length - size;
    case 3:
        memmove(line + at + size, line + at, left);
        memcpy(line + at, piece, size);
        return length + size;
    default:
        memcpy(piece, line + at, size);
        memmove(line + at + size, line + at, left);
        memcpy(line + at, piece, size);
        return length + size;
    }
}

static void receive(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        if (protocol_receive(bytes[i])) {
            check(accepted.count < ACCEPTED_MAX, "noise makes few frames");
            memcpy(accepted.frames[accepted.count], receiver.frame, FRAME_MAX);
            accepted.count++;
        }
    }
}

static uint32_t accepted_as(const raw_frame *raw)
{
    uint32_t count = 0u;
    for (uint32_t i = 0u; i < accepted.count; i++) {
        count += memcmp(accepted.frames[i], raw->bytes, raw->length) == 0 ? 1u : 0u;
    }
    return count;
}

/* Replies are whole, and as many as frames were accepted. */
static void check_replies(void)
{
    uint32_t replies = 0u;
    for (uint32_t at = 0u; at < sent_bytes; replies++) {
        const uint8_t *end = memchr(sent + at + 1u, 0, sent_bytes - at - 1u);
        check(end != NULL, "replies end");
        (void)read_reply(sent + at + 1u, (size_t)(end - (sent + at + 1u)));
        at = (uint32_t)(end - sent) + 1u;
    }
    check(replies == accepted.count, "every accepted frame has a reply");
}

/* `line` as it was disturbed, then the clean frame behind it; true if nothing of `raw` was accepted. */
static bool pass(const raw_frame *raw, const uint8_t *line, size_t length, const raw_frame *clean)
{
    uint8_t encoded[ENCODED_MAX];
    accepted.count = 0u;
    sent_bytes = 0u;
    receive(line, length);
    receive(encoded, encode(clean, encoded));
    check_replies();
    const uint32_t kept = accepted_as(raw);
    const uint32_t heard = accepted_as(clean);
    told.kept += kept;
    told.wrong += accepted.count - kept - heard;
    told.lost += heard == 1u ? 0u : 1u;
    return kept == 0u;
}

static void pass_random(uint16_t sequence)
{
    uint8_t line[DISTURBED_MAX];
    uint8_t before[ENCODED_MAX];
    const raw_frame raw = any_request(sequence);
    const raw_frame clean = any_request((uint16_t)(sequence + 1u));
    const size_t encoded = encode(&raw, before);
    size_t length = encoded;
    memcpy(line, before, encoded);
    for (uint32_t times = 1u + random_below(DISTURBANCES_MAX); times > 0u; times--) {
        length = disturb(line, length);
    }
    const bool same = length == encoded ? memcmp(line, before, length) == 0 : false;
    told.disturbed += same ? 0u : 1u;
    (void)pass(&raw, line, length, &clean);
}

/* Returns how many flips there were; all must be rejected. */
static unsigned long flip_all(void)
{
    uint8_t payload[CHUNK_ON_LINE - 13u];
    uint8_t line[ENCODED_MAX];
    unsigned long flips = 0u;
    randomize(payload, sizeof(payload));
    const raw_frame raw = make_request(WRITE_INPUT, 1u, payload, sizeof(payload));
    const raw_frame clean = make_request(IDENTIFY, 2u, payload, 0u);
    check(encode(&raw, line) == CHUNK_ON_LINE, "the frame takes 64 bytes on the line");
    for (uint32_t first = 0u; first < 8u * CHUNK_ON_LINE; first++) {
        for (uint32_t second = first; second < 8u * CHUNK_ON_LINE; second++) {
            uint8_t flipped[CHUNK_ON_LINE];
            memcpy(flipped, line, CHUNK_ON_LINE);
            flipped[first / 8u] ^= (uint8_t)(1u << (first % 8u));
            if (second > first) {
                flipped[second / 8u] ^= (uint8_t)(1u << (second % 8u));
            }
            check(pass(&raw, flipped, CHUNK_ON_LINE, &clean), "a flipped frame is rejected");
            flips++;
        }
    }
    return flips;
}

int main(int count, char **words)
{
    check(count == 3, "usage: line_noise FRAMES SEED");
    const unsigned long long frames = strtoull(words[1], NULL, 10);
    random_state = strtoull(words[2], NULL, 10);
    protocol_start();
    const unsigned long flips = flip_all();
    for (unsigned long long i = 0u; i < frames; i++) {
        pass_random((uint16_t)(2u * i));
    }
    printf("%lu flips rejected, %llu disturbed, %llu kept, %llu wrong, %llu lost\n", flips,
           told.disturbed, told.kept, told.wrong, told.lost);
    return told.wrong + told.lost > 0u ? 1 : 0;
}
