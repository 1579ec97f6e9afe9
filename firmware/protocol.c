/* protocol.c: COBS decoding, frame checks, the last reply. See protocol.h; the frame itself is
 * described in mcugen/run/protocol.py. */
#include "protocol.h"

#include <string.h>

#include "platform.h"

#define FRAME_MAX (PROTOCOL_HEADER_BYTES + PROTOCOL_PAYLOAD_MAX + PROTOCOL_CRC_BYTES)
#define COBS_BLOCK_MAX 254u
#define COBS_FULL 0xFFu

/* Offsets in a frame's header. */
enum { AT_VERSION = 0, AT_TYPE = 1, AT_SEQUENCE = 2, AT_LENGTH = 4 };

/* What the next byte from the line is: a block's code, a block's data, or the rest of a frame that
 * cannot be one. A zero byte ends the frame in every state. */
typedef enum { EXPECT_CODE, EXPECT_DATA, EXPECT_END } receive_state;

static struct {
    receive_state state;
    uint8_t block_left; /* data bytes until the next code */
    bool zero_due;      /* the last block stands for its data and a zero */
    uint32_t length;
    uint8_t frame[FRAME_MAX];
} receiver;

static struct {
    bool valid;
    uint32_t request_crc;
    uint32_t length;
    uint8_t frame[FRAME_MAX];
} last_reply;

static const message_rule rules[MESSAGE_COUNT] = MESSAGE_RULES;

static const message_rule *rule_of(uint8_t type)
{
    for (uint32_t i = 0u; i < MESSAGE_COUNT; i++) {
        if (rules[i].type == type) {
            return &rules[i];
        }
    }
    return NULL;
}

uint32_t crc32(uint32_t crc, const uint8_t *data, uint32_t length)
{
    /* Remainders of the sixteen 4-bit values. */
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    crc = ~crc;
    for (uint32_t i = 0u; i < length; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

static void send_block(const uint8_t *data, uint32_t length)
{
    uart_write((uint8_t)(length + 1u));
    for (uint32_t i = 0u; i < length; i++) {
        uart_write(data[i]);
    }
}

static uint32_t length_to_zero(const uint8_t *data, uint32_t length)
{
    for (uint32_t i = 0u; i < length; i++) {
        if (data[i] == 0u) {
            return i;
        }
    }
    return length;
}

/* Encodes while sending: a block ends before a zero, which it stands for, or when it is full. */
static void send_frame(const uint8_t *frame, uint32_t length)
{
    uint32_t at = 0u;
    uart_write(0u);
    for (;;) {
        const uint32_t run = length_to_zero(frame + at, length - at);
        if (run >= COBS_BLOCK_MAX) {
            send_block(frame + at, COBS_BLOCK_MAX);
            at += COBS_BLOCK_MAX;
            continue;
        }
        send_block(frame + at, run);
        at += run;
        if (at == length) {
            break;
        }
        at++; /* the zero */
    }
    uart_write(0u);
}

/* STATUS_OK, or why the request is not passed on. */
static uint8_t refusal(uint8_t version, uint8_t type, uint32_t length)
{
    if (version != PROTOCOL_VERSION) {
        return STATUS_WRONG_VERSION;
    }
    const message_rule *rule = rule_of(type);
    if (rule == NULL) {
        return STATUS_UNKNOWN_MESSAGE;
    }
    if (length < rule->request_bytes_min) {
        return STATUS_WRONG_LENGTH;
    }
    if (length > rule->request_bytes_max) {
        return STATUS_WRONG_LENGTH;
    }
    if (rule->needs_result > session_has_result()) {
        return STATUS_NO_RESULT;
    }
    return STATUS_OK;
}

static void build_reply(const uint8_t *request, uint32_t length)
{
    uint8_t *reply = last_reply.frame;
    uint8_t *payload = reply + PROTOCOL_HEADER_BYTES;
    const uint8_t type = request[AT_TYPE];
    uint32_t payload_length = 1u;
    payload[0] = refusal(request[AT_VERSION], type, length);
    if (payload[0] == STATUS_OK) {
        payload_length = session_answer(type, request + PROTOCOL_HEADER_BYTES, length, payload);
    }
    put_u8(reply + AT_VERSION, PROTOCOL_VERSION);
    put_u8(reply + AT_TYPE, (uint8_t)(type | PROTOCOL_REPLY_BIT));
    memcpy(reply + AT_SEQUENCE, request + AT_SEQUENCE, sizeof(uint16_t));
    put_u16(reply + AT_LENGTH, (uint16_t)payload_length);
    const uint32_t checked = PROTOCOL_HEADER_BYTES + payload_length;
    put_u32(reply + checked, crc32(0u, reply, checked));
    last_reply.length = checked + PROTOCOL_CRC_BYTES;
}

/* The CRC covers sequence number, type and payload: an equal CRC is the same request once more. */
static bool is_repeated(uint32_t request_crc)
{
    if (!last_reply.valid) {
        return false;
    }
    return last_reply.request_crc == request_crc;
}

/* Answers a valid frame; false where it is none. */
static bool handle_frame(const uint8_t *frame, uint32_t frame_length)
{
    if (frame_length < PROTOCOL_HEADER_BYTES + PROTOCOL_CRC_BYTES) {
        return false;
    }
    const uint32_t checked = frame_length - PROTOCOL_CRC_BYTES;
    const uint32_t check = get_u32(frame + checked);
    if (crc32(0u, frame, checked) != check) {
        return false;
    }
    const uint32_t length = get_u16(frame + AT_LENGTH);
    if (length != checked - PROTOCOL_HEADER_BYTES) {
        return false;
    }
    if (!is_repeated(check)) {
        build_reply(frame, length);
        last_reply.request_crc = check;
        last_reply.valid = true;
    }
    send_frame(last_reply.frame, last_reply.length);
    return true;
}

static void start_frame(void)
{
    receiver.state = EXPECT_CODE;
    receiver.block_left = 0u;
    receiver.zero_due = false;
    receiver.length = 0u;
}

/* EXPECT_CODE at a frame's end says that its last block was complete. */
static bool end_frame(void)
{
    bool valid = false;
    if (receiver.state == EXPECT_CODE) {
        valid = handle_frame(receiver.frame, receiver.length);
    }
    start_frame();
    return valid;
}

static void append(uint8_t byte)
{
    if (receiver.length == FRAME_MAX) {
        receiver.state = EXPECT_END;
        return;
    }
    receiver.frame[receiver.length] = byte;
    receiver.length++;
}

static void take_code(uint8_t code)
{
    if (receiver.zero_due) {
        append(0u);
    }
    if (receiver.state == EXPECT_END) {
        return;
    }
    receiver.zero_due = code != COBS_FULL;
    receiver.block_left = (uint8_t)(code - 1u);
    if (receiver.block_left > 0u) {
        receiver.state = EXPECT_DATA;
    }
}

static void take_data(uint8_t byte)
{
    receiver.block_left--;
    if (receiver.block_left == 0u) {
        receiver.state = EXPECT_CODE;
    }
    append(byte);
}

void protocol_start(void)
{
    last_reply.valid = false;
    start_frame();
}

bool protocol_receive(uint8_t byte)
{
    if (byte == 0u) {
        return end_frame();
    }
    switch (receiver.state) {
    case EXPECT_CODE:
        take_code(byte);
        break;
    case EXPECT_DATA:
        take_data(byte);
        break;
    case EXPECT_END:
    default:
        break;
    }
    return false;
}
