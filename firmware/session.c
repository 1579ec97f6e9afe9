/* session.c: answers the protocol's requests with one model.
 *
 * Compiled with MODEL_PREFIX=digits and MODEL_MACRO=DIGITS, it includes that model's model.h. An
 * input that is not the one the host means (its CRC-32 differs) is not run: after a restart in the
 * middle of a session the host gets a refusal, never a wrong result.
 */
#include "session.h"

#include <string.h>

#include "model.h"
#include "protocol.h"
#include "target.h"

#define PASTE(prefix, name) prefix##_##name
#define PASTE_EXPANDED(prefix, name) PASTE(prefix, name)
#define MODEL(name) PASTE_EXPANDED(MODEL_PREFIX, name)
#define MODEL_CONSTANT(name) PASTE_EXPANDED(MODEL_MACRO, name)

#define LAYER_COUNT MODEL_CONSTANT(LAYER_COUNT)
#define INPUT_BYTES MODEL_CONSTANT(INPUT_BYTES)
#define OUTPUT_BYTES MODEL_CONSTANT(OUTPUT_BYTES)

static MODEL_ARENA_SECTION MODEL(t) net;

static const uint8_t digest[PROTOCOL_DIGEST_BYTES] = MODEL_DIGEST;

static struct {
    platform_clock clock;
    uint8_t cycle_source;
    uint8_t has_result;
    uint8_t wants_reset;
    uint32_t layer_started; /* cycles_now() when the current layer began */
    uint32_t layer_cycles[LAYER_COUNT];
} session;

static uint8_t *input_bytes(void)
{
    return (uint8_t *)MODEL(input)(&net);
}

static const uint8_t *output_bytes(void)
{
    return (const uint8_t *)MODEL(output)(&net);
}

void session_start(platform_clock clock, uint8_t cycle_source)
{
    session.clock = clock;
    session.cycle_source = cycle_source;
    (void)MODEL(init)(&net);
}

uint8_t session_has_result(void)
{
    return session.has_result;
}

uint8_t session_wants_reset(void)
{
    return session.wants_reset;
}

/* The second reading leaves the hook's own time out of the next layer's. */
void session_layer_hook(uint32_t layer)
{
    const uint32_t now = cycles_now();
    if (layer > 0u) {
        session.layer_cycles[layer - 1u] = now - session.layer_started;
    }
    session.layer_started = cycles_now();
}

/* Whether [offset, offset + length) lies within `size` bytes. */
static bool in_range(uint32_t offset, uint32_t length, uint32_t size)
{
    if (offset > size) {
        return false;
    }
    return length <= size - offset;
}

static uint32_t answer_status(uint8_t status, uint8_t *out)
{
    put_u8(out, status);
    return 1u;
}

static uint32_t answer_identify(uint8_t *out)
{
    identify_reply reply = {0};
    reply.status = STATUS_OK;
    memcpy(reply.digest, digest, sizeof(digest));
    memcpy(reply.board, BOARD_NAME, sizeof(BOARD_NAME));
    reply.clock_hz = session.clock.core_hz;
    reply.clock_source = session.clock.source;
    reply.cycle_source = session.cycle_source;
    reply.input_bytes = INPUT_BYTES;
    reply.output_bytes = OUTPUT_BYTES;
    reply.layer_count = LAYER_COUNT;
    pack_identify_reply(out, &reply);
    return IDENTIFY_REPLY_BYTES;
}

static uint32_t answer_write_input(const uint8_t *in, uint32_t length, uint8_t *out)
{
    const write_input_request request = unpack_write_input_request(in);
    const uint32_t data_bytes = length - WRITE_INPUT_REQUEST_BYTES;
    if (!in_range(request.offset, data_bytes, INPUT_BYTES)) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    session.has_result = 0u;
    memcpy(input_bytes() + request.offset, in + WRITE_INPUT_REQUEST_BYTES, data_bytes);
    return answer_status(STATUS_OK, out);
}

static uint64_t sum_of_layers(void)
{
    uint64_t sum = 0u;
    for (uint32_t layer = 0u; layer < LAYER_COUNT; layer++) {
        sum += session.layer_cycles[layer];
    }
    return sum;
}

static uint32_t answer_run(const uint8_t *in, uint8_t *out)
{
    const run_request request = unpack_run_request(in);
    if (crc32(0u, input_bytes(), INPUT_BYTES) != request.input_crc) {
        return answer_status(STATUS_INPUT_DIFFERS, out);
    }
    run_reply reply = {0};
    const MODEL(status) status = MODEL(run)(&net);
    reply.status = STATUS_MODEL_FAILED;
    if (status == MODEL_CONSTANT(OK)) {
        reply.status = STATUS_OK;
        session.has_result = 1u;
    }
    reply.model_status = (uint8_t)((uint32_t)status & 0xFFu);
    reply.cycles = sum_of_layers();
    memcpy(reply.digest_prefix, digest, sizeof(reply.digest_prefix));
    reply.output_crc = crc32(0u, output_bytes(), OUTPUT_BYTES);
    pack_run_reply(out, &reply);
    return RUN_REPLY_BYTES;
}

static uint32_t answer_read_output(const uint8_t *in, uint8_t *out)
{
    const read_output_request request = unpack_read_output_request(in);
    if (request.length > PROTOCOL_CHUNK_BYTES) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    if (!in_range(request.offset, request.length, OUTPUT_BYTES)) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    memcpy(out + READ_OUTPUT_REPLY_BYTES, output_bytes() + request.offset, request.length);
    return answer_status(STATUS_OK, out) + request.length;
}

static uint32_t answer_read_layer_cycles(const uint8_t *in, uint8_t *out)
{
    const read_layer_cycles_request request = unpack_read_layer_cycles_request(in);
    if (request.count > PROTOCOL_CHUNK_BYTES / 4u) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    if (!in_range(request.first, request.count, LAYER_COUNT)) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    const uint32_t *cycles = &session.layer_cycles[request.first];
    for (uint32_t i = 0u; i < request.count; i++) {
        put_u32(out + READ_LAYER_CYCLES_REPLY_BYTES + 4u * i, cycles[i]);
    }
    return answer_status(STATUS_OK, out) + 4u * request.count;
}

static uint32_t answer_read_stack(uint8_t *out)
{
    read_stack_reply reply;
    reply.status = STATUS_OK;
    reply.used = stack_used_bytes();
    reply.size = stack_size_bytes();
    pack_read_stack_reply(out, &reply);
    return READ_STACK_REPLY_BYTES;
}

uint32_t session_answer(uint8_t type, const uint8_t *request, uint32_t length, uint8_t *reply)
{
    switch (type) {
    case IDENTIFY:
        return answer_identify(reply);
    case WRITE_INPUT:
        return answer_write_input(request, length, reply);
    case RUN:
        return answer_run(request, reply);
    case READ_OUTPUT:
        return answer_read_output(request, reply);
    case READ_LAYER_CYCLES:
        return answer_read_layer_cycles(request, reply);
    case READ_STACK:
        return answer_read_stack(reply);
    case RESET:
        session.wants_reset = 1u;
        return answer_status(STATUS_OK, reply);
    default:
        return answer_status(STATUS_UNKNOWN_MESSAGE, reply);
    }
}
