/* session.c: answers the protocol's requests with one model.
 *
 * An input that is not the one the host means (its CRC-32 differs) is not run: after a restart in the
 * middle of a session the host gets a refusal, never a wrong result.
 */
#include "session.h"

#include <string.h>

#include "protocol.h"
#include "target.h"

#define NO_LAYER 0xFFFFFFFFu

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

/* Bytes of the arena as they were once `layers` layers had run, kept in spare RAM. */
static struct {
    uint32_t layers; /* NO_LAYER except while the run that keeps them goes on */
    uint32_t offset;
    uint32_t length;
} capture;

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
    capture.layers = NO_LAYER;
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

uint8_t *session_spare_ram(uint32_t *bytes)
{
    capture.length = 0u;
    return spare_ram(bytes);
}

static uint8_t *captured(void)
{
    uint32_t room;
    return spare_ram(&room);
}

static uint32_t capture_room(void)
{
    uint32_t room;
    (void)spare_ram(&room);
    return room;
}

/* The second reading leaves the hook's own time out of the next layer's. */
void session_layer_hook(uint32_t layer)
{
    const uint32_t now = cycles_now();
    if (layer > 0u) {
        session.layer_cycles[layer - 1u] = now - session.layer_started;
    }
    if (layer == capture.layers) {
        memcpy(captured(), (const uint8_t *)&net.arena + capture.offset, capture.length);
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
    reply.arena_bytes = ARENA_BYTES;
    reply.capture_bytes = capture_room();
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

/* Runs on the input that is stored, and returns the model's own status. Each run is a sequence of its
 * own: a board that restarted between two would else go on with states that it no longer has. */
static MODEL(status) run_model(void)
{
    session.has_result = 0u;
    (void)MODEL(reset)(&net);
    const MODEL(status) status = MODEL(run)(&net);
    if (status == MODEL_CONSTANT(OK)) {
        session.has_result = 1u;
    }
    return status;
}

bool session_run(const uint8_t *input)
{
    memcpy(input_bytes(), input, INPUT_BYTES);
    return run_model() == MODEL_CONSTANT(OK);
}

const MODEL(t) *session_model(void)
{
    return &net;
}

static uint32_t answer_run(const uint8_t *in, uint8_t *out)
{
    const run_request request = unpack_run_request(in);
    if (crc32(0u, input_bytes(), INPUT_BYTES) != request.input_crc) {
        return answer_status(STATUS_INPUT_DIFFERS, out);
    }
    run_reply reply = {0};
    const MODEL(status) status = run_model();
    reply.status = STATUS_MODEL_FAILED;
    if (status == MODEL_CONSTANT(OK)) {
        reply.status = STATUS_OK;
    }
    reply.model_status = (uint8_t)((uint32_t)status & 0xFFu);
    reply.cycles = sum_of_layers();
    memcpy(reply.digest_prefix, digest, sizeof(reply.digest_prefix));
    reply.output_crc = crc32(0u, output_bytes(), OUTPUT_BYTES);
    pack_run_reply(out, &reply);
    return RUN_REPLY_BYTES;
}

static uint8_t capture_refusal(const capture_request *request)
{
    if (request->layers > LAYER_COUNT) {
        return STATUS_OUT_OF_RANGE;
    }
    if (!in_range(request->offset, request->length, ARENA_BYTES)) {
        return STATUS_OUT_OF_RANGE;
    }
    if (request->length > capture_room()) {
        return STATUS_OUT_OF_RANGE;
    }
    if (crc32(0u, input_bytes(), INPUT_BYTES) != request->input_crc) {
        return STATUS_INPUT_DIFFERS;
    }
    return STATUS_OK;
}

static uint32_t answer_capture(const uint8_t *in, uint8_t *out)
{
    const capture_request request = unpack_capture_request(in);
    capture_reply reply = {0};
    reply.status = capture_refusal(&request);
    if (reply.status != STATUS_OK) {
        return answer_status(reply.status, out);
    }
    capture.offset = request.offset;
    capture.length = request.length;
    capture.layers = request.layers;
    const MODEL(status) status = run_model();
    capture.layers = NO_LAYER;
    if (status != MODEL_CONSTANT(OK)) {
        capture.length = 0u;
        return answer_status(STATUS_MODEL_FAILED, out);
    }
    reply.crc = crc32(0u, captured(), capture.length);
    pack_capture_reply(out, &reply);
    return CAPTURE_REPLY_BYTES;
}

static uint32_t answer_bytes(const uint8_t *data, uint32_t length, uint8_t *out)
{
    const uint32_t status_bytes = answer_status(STATUS_OK, out);
    memcpy(out + status_bytes, data, length);
    return status_bytes + length;
}

static uint32_t answer_read_capture(const uint8_t *in, uint8_t *out)
{
    const read_capture_request request = unpack_read_capture_request(in);
    if (capture.length == 0u) {
        return answer_status(STATUS_NO_RESULT, out);
    }
    if (request.length > PROTOCOL_CHUNK_BYTES) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    if (!in_range(request.offset, request.length, capture.length)) {
        return answer_status(STATUS_OUT_OF_RANGE, out);
    }
    return answer_bytes(captured() + request.offset, request.length, out);
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
    return answer_bytes(output_bytes() + request.offset, request.length, out);
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
    case CAPTURE:
        return answer_capture(request, reply);
    case READ_CAPTURE:
        return answer_read_capture(request, reply);
    case RESET:
        session.wants_reset = 1u;
        return answer_status(STATUS_OK, reply);
    default:
        return answer_status(STATUS_UNKNOWN_MESSAGE, reply);
    }
}
