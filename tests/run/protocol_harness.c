/* protocol_harness.c: firmware/protocol.c on the host. Bytes from stdin go in, what it sends goes to
 * stdout. The application echoes requests; a message that needs a result is refused until a run. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform.h"
#include "protocol.h"

static uint8_t has_result;

void uart_write(uint8_t byte)
{
    (void)putchar(byte);
}

uint8_t session_has_result(void)
{
    return has_result;
}

uint32_t session_answer(uint8_t type, const uint8_t *request, uint32_t length, uint8_t *reply)
{
    const message_rule rules[MESSAGE_COUNT] = MESSAGE_RULES;
    bool known = false;
    for (uint32_t i = 0u; i < MESSAGE_COUNT; i++) {
        if (rules[i].type == type) {
            known = length >= rules[i].request_bytes_min;
            known = known && length <= rules[i].request_bytes_max;
            known = known && rules[i].needs_result <= has_result;
        }
    }
    if (!known) {
        abort(); /* protocol.c promises to have checked */
    }
    if (type == RUN) {
        has_result = 1u;
    }
    memset(reply, 0xA5, PROTOCOL_PAYLOAD_MAX); /* all of it may be written */
    reply[0] = STATUS_OK;
    const uint32_t echoed = length < PROTOCOL_PAYLOAD_MAX ? length : PROTOCOL_PAYLOAD_MAX - 1u;
    memcpy(reply + 1, request, echoed);
    return echoed + 1u;
}

int main(void)
{
    protocol_start();
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        protocol_receive((uint8_t)byte);
    }
    return 0;
}
