/* fuzz_protocol.c: the portable firmware under libFuzzer.
 *
 * An input is a program: each step sends a frame that is right, one that is damaged, raw bytes, or a
 * command in text. Whatever was sent, all that comes back is whole and well-formed, and at the end
 * the image identifies itself, runs its model and returns the right bytes: a frame behind noise is
 * heard. The firmware is included as one unit, so that every input finds it as after a reset.
 */
#include "protocol.c"
#include "session.c"
#include "classes.c"
#include "input_buffer.c"
#include "mlperf.c"
#include "text.c"

#include "frames.h"

#define SENT_MAX 65536u
#define RUNS_MAX 40u
#define SPARE_BYTES 40u /* more than an input, less than the arena */
#define FINAL_SEQUENCE 0xFFF0u

/* An input of the fuzzer, read from the front. */
typedef struct {
    const uint8_t *data;
    size_t left;
} tape;

static uint8_t sent[SENT_MAX];
static uint32_t sent_bytes;
static uint32_t clock_cycles;
static uint32_t runs;
static bool restarted; /* which clears what a frame was received into */

/* What the firmware asks of a chip. */

void uart_write(uint8_t byte)
{
    check(sent_bytes < SENT_MAX, "an input is answered with little");
    sent[sent_bytes] = byte;
    sent_bytes++;
}

uint32_t cycles_now(void)
{
    clock_cycles += 999u;
    return clock_cycles;
}

uint32_t stack_used_bytes(void)
{
    return 1u;
}

uint32_t stack_size_bytes(void)
{
    return 2u;
}

uint8_t *spare_ram(uint32_t *bytes)
{
    static uint8_t spare[SPARE_BYTES];
    *bytes = SPARE_BYTES;
    return spare;
}

/* Called by the model; bounds what one input can cost. */
int model_fails(void)
{
    runs++;
    return runs > RUNS_MAX;
}

static void power_up(void)
{
    const platform_clock clock = {16000000u, 16000000u, CLOCK_SOURCE_INTERNAL};
    memset(&receiver, 0, sizeof(receiver));
    memset(&last_reply, 0, sizeof(last_reply));
    memset(&net, 0, sizeof(net));
    memset(&session, 0, sizeof(session));
    memset(&capture, 0, sizeof(capture));
    memset(&buffer, 0, sizeof(buffer));
    memset(&line, 0, sizeof(line));
    memset(&watch, 0, sizeof(watch));
    session_start(clock, CYCLE_SOURCE_SYSTICK);
    protocol_start();
    mlperf_start(clock);
}

/* As main.c does it. */
static void serve(uint8_t byte)
{
    mlperf_tick();
    if (protocol_receive(byte)) {
        mlperf_stop();
    } else {
        mlperf_receive(byte);
    }
    if (session_wants_reset() != 0u) {
        restarted = true;
        power_up();
    }
}

/* Checks all that was sent: lines of text, and replies between zeros. Returns how many replies there
 * were and leaves the last in *last. */
static uint32_t check_sent(answer *last)
{
    uint32_t replies = 0u;
    uint32_t at = 0u;
    while (at < sent_bytes) {
        if (sent[at] != 0u) {
            const uint8_t byte = sent[at];
            check((byte >= ' ' && byte <= '~') || byte == '\r' || byte == '\n', "text is printable");
            check(byte != '\n' || (at > 0u && sent[at - 1u] == '\r'), "lines end in CR LF");
            at++;
            continue;
        }
        const uint8_t *end = memchr(sent + at + 1u, 0, sent_bytes - at - 1u);
        check(end != NULL, "frames are whole");
        *last = read_reply(sent + at + 1u, (size_t)(end - (sent + at + 1u)));
        replies++;
        at = (uint32_t)(end - sent) + 1u;
    }
    sent_bytes = 0u;
    return replies;
}

/* Steps of a program. */

static uint8_t take(tape *input)
{
    if (input->left == 0u) {
        return 0u;
    }
    input->left--;
    return *input->data++;
}

static size_t take_bytes(tape *input, uint8_t *out, size_t length)
{
    const size_t given = length < input->left ? length : input->left;
    memcpy(out, input->data, given);
    input->data += given;
    input->left -= given;
    return given;
}

static void send(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0u; i < length; i++) {
        serve(bytes[i]);
    }
}

static uint8_t ask(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t length,
                   answer *reply)
{
    uint8_t frame[ENCODED_MAX];
    const raw_frame raw = make_request(type, sequence, payload, length);
    send(frame, encode(&raw, frame));
    check(check_sent(reply) == 1u, "a whole frame has one reply");
    check(reply->sequence == sequence, "replies repeat the sequence number");
    check(reply->type == (type | PROTOCOL_REPLY_BIT), "replies repeat the type");
    return reply->payload[0];
}

/* Lengths near what messages take or where blocks end, payloads of any bytes, mostly the checksum of
 * the input where a message wants it, and now and then another version or a length that is not the
 * payload's. */
static raw_frame any_frame(tape *input)
{
    static const size_t lengths[6] = {64u, 243u, 244u, 245u, 256u, 300u};
    uint8_t payload[RAW_PAYLOAD_MAX];
    const uint8_t shape = take(input);
    const size_t length = shape < 250u ? shape % 20u : lengths[shape - 250u];
    const uint8_t oddity = take(input);
    uint8_t header[6] = {PROTOCOL_VERSION};
    header[0] = oddity < 8u ? oddity : PROTOCOL_VERSION;
    header[1] = take(input) % 14u;
    header[2] = take(input);
    put_u16(header + 4, (uint16_t)length);
    header[5] ^= oddity == 255u ? 1u : 0u;
    memset(payload, oddity & 1u, sizeof(payload));
    (void)take_bytes(input, payload, length);
    if ((header[1] == RUN || header[1] == CAPTURE) && oddity < 200u) {
        put_u32(payload, crc_bit_by_bit(input_bytes(), INPUT_BYTES));
    }
    if (header[1] == CAPTURE && oddity < 160u) {
        put_u16(payload + 4, payload[4] % 4u);
        put_u32(payload + 6, payload[6] % 64u);
        put_u32(payload + 10, payload[10] % 64u);
    }
    return make_raw(header, payload, length);
}

static size_t damage(tape *input, uint8_t *frame, size_t length)
{
    const size_t at = (((size_t)take(input) << 8) | take(input)) % length;
    const uint8_t how = take(input);
    switch (how % 4u) {
    case 0:
        frame[at] ^= (uint8_t)(1u << (how / 32u));
        return length;
    case 1:
        memmove(frame + at, frame + at + 1u, length - at - 1u);
        return length - 1u;
    case 2:
        memmove(frame + at + 1u, frame + at, length - at);
        return length + 1u;
    default:
        frame[at] = take(input);
        return length;
    }
}

static void send_text(tape *input)
{
    static const char *const words[16] = {
        "name%", "profile%", "timestamp%", "db load 16%", "db 00112233%", "db print%", "infer 2 1%",
        "results%", "help%", "db %", "infer%", "%", "db ", "infer ", "db 8899aabbccddeeff0a0b0c0d%",
        "db load ",
    };
    const char *word = words[take(input) % 16u];
    send((const uint8_t *)word, strlen(word));
}

/* The whole exchange with right frames: whatever came before, it gives what the model computes. */
static void infer_by_frames(const uint8_t *sample, uint16_t sequence)
{
    static const int weights[16] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16};
    uint8_t payload[4u + INPUT_BYTES] = {0};
    answer reply;
    runs = 0u;
    memcpy(payload + 4, sample, INPUT_BYTES);
    check(ask(WRITE_INPUT, sequence, payload, sizeof(payload), &reply) == STATUS_OK, "written");
    put_u32(payload, crc_bit_by_bit(sample, INPUT_BYTES));
    check(ask(RUN, (uint16_t)(sequence + 1u), payload, 4u, &reply) == STATUS_OK, "run");
    put_u32(payload, 0u);
    put_u16(payload + 4, OUTPUT_BYTES);
    check(ask(READ_OUTPUT, (uint16_t)(sequence + 2u), payload, 6u, &reply) == STATUS_OK, "read");
    for (uint32_t row = 0u; row < OUTPUT_COUNT; row++) {
        int sum = 0;
        for (uint32_t i = 0u; i < INPUT_BYTES; i++) {
            sum += (sample[i] * sample[i] % 256) * weights[(i + row) % 16u];
        }
        check((int)get_u32(reply.payload + 1u + 4u * row) == sum, "outputs are right");
    }
}

/* Ends what was left open, which may have been a frame, and takes its answer off. */
static void begin_anew(void)
{
    answer reply;
    serve(0u);
    (void)check_sent(&reply);
}

static void send_whole(tape *input)
{
    uint8_t encoded[ENCODED_MAX];
    answer reply;
    const raw_frame raw = any_frame(input);
    const bool fits = raw.length <= FRAME_MAX;
    const bool consistent = get_u16(raw.bytes + 4) == raw.length - 10u;
    begin_anew();
    send(encoded, encode(&raw, encoded));
    const uint32_t replies = check_sent(&reply);
    check(replies == (fits && consistent ? 1u : 0u), "whole frames are answered, and no others");
    if (replies == 1u) {
        check(reply.sequence == get_u16(raw.bytes + 2), "answers repeat the sequence number");
        check(reply.type == (raw.bytes[1] | PROTOCOL_REPLY_BIT), "answers repeat the type");
    }
}

/* What is answered is what was sent, however the line changed it. */
static void send_damaged(tape *input)
{
    uint8_t encoded[ENCODED_MAX];
    answer reply;
    const raw_frame raw = any_frame(input);
    size_t length = encode(&raw, encoded);
    for (uint8_t times = take(input) % 4u; times > 0u; times--) {
        length = damage(input, encoded, length);
    }
    begin_anew();
    memset(receiver.frame, 0, sizeof(receiver.frame));
    restarted = false;
    uint8_t heard[FRAME_MAX] = {0};
    bool answered = false;
    encoded[length] = 0u;
    for (size_t i = 0u; i <= length; i++) {
        serve(encoded[i]);
        if (!answered && memchr(sent, 0, sent_bytes) != NULL) {
            /* At once: what follows on the line overwrites it. */
            memcpy(heard, receiver.frame, sizeof(heard));
            answered = true;
        }
    }
    const uint32_t replies = check_sent(&reply);
    check(replies <= 1u, "a damaged frame is not two");
    if (replies == 1u) {
        check(raw.length <= FRAME_MAX, "long frames are not answered");
        const bool same = memcmp(heard, raw.bytes, raw.length) == 0;
        check(restarted || same, "nothing wrong is accepted");
    }
}

static void step(tape *input)
{
    uint8_t bytes[256];
    uint8_t sample[INPUT_BYTES] = {0};
    switch (take(input) % 8u) {
    case 0:
    case 1:
        send_whole(input);
        break;
    case 2:
    case 3:
        send_damaged(input);
        break;
    case 4:
    case 5:
        send_text(input);
        break;
    case 6:
        send(bytes, take_bytes(input, bytes, take(input)));
        break;
    default:
        (void)take_bytes(input, sample, INPUT_BYTES);
        begin_anew();
        infer_by_frames(sample, 0x1000u);
        break;
    }
}

static void ask_in_text(const char *words, const char *wanted)
{
    send((const uint8_t *)words, strlen(words));
    check(sent_bytes < SENT_MAX, "an input is answered with little");
    sent[sent_bytes] = 0u;
    check(strstr((const char *)sent, wanted) != NULL, wanted);
    check(strstr((const char *)sent, "m-ready\r\n") != NULL, "commands end in m-ready");
    sent_bytes = 0u;
}

/* The benchmark's exchange, behind frames as behind noise. */
static void infer_by_text(void)
{
    runs = 0u;
    ask_in_text("name%", "m-name-dut-[");
    ask_in_text("db load 16%", "m-[Expecting 16 bytes]");
    ask_in_text("db 000102030405060708090a0b0c0d0e0f%", "m-load-done");
    ask_in_text("infer 2 1%", "m-results-[");
}

static void tell(void)
{
    fprintf(stderr, "frames made: %llu\n", frames_made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t sample[INPUT_BYTES] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 254, 253, 252, 251, 250};
    tape input = {data, size};
    answer reply;
    if (frames_made == 0u) {
        (void)atexit(tell);
    }
    runs = 0u;
    sent_bytes = 0u;
    power_up();
    while (input.left > 0u) {
        step(&input);
    }
    begin_anew();
    check(ask(IDENTIFY, FINAL_SEQUENCE, data, 0u, &reply) == STATUS_OK, "identified at the end");
    infer_by_frames(sample, FINAL_SEQUENCE + 1u);
    infer_by_text();
    return 0;
}
