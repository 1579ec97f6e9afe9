/* cmsdk_uart.c: the UART of Arm's Cortex-M System Design Kit, polled.
 *
 * Cortex-M System Design Kit Technical Reference Manual (DDI 0479), APB UART: DATA, STATE, CTRL,
 * BAUDDIV. 8 data bits, no parity, 1 stop bit, always.
 */
#include "platform.h"
#include "target.h"

#define UART_DATA (UART_BASE + 0x00u)
#define UART_STATE (UART_BASE + 0x04u)
#define UART_CTRL (UART_BASE + 0x08u)
#define UART_BAUDDIV (UART_BASE + 0x10u)

#define STATE_SENDER_FULL (1u << 0)
#define STATE_RECEIVED (1u << 1)
#define CTRL_SEND_AND_RECEIVE 3u
#define BAUDDIV_MIN 16u

/* A byte takes 2,200 cycles at 25 MHz and 115,200 baud; a poll takes several. */
#define POLLS_MAX 10000u

void uart_start(uint32_t uart_hz, uint32_t baud)
{
    uint32_t divider = (uart_hz + baud / 2u) / baud;
    if (divider < BAUDDIV_MIN) {
        divider = BAUDDIV_MIN;
    }
    *reg32(UART_BAUDDIV) = divider;
    *reg32(UART_CTRL) = CTRL_SEND_AND_RECEIVE;
}

bool uart_read(uint8_t *byte)
{
    if ((*reg32(UART_STATE) & STATE_RECEIVED) == 0u) {
        return false;
    }
    *byte = (uint8_t)(*reg32(UART_DATA) & 0xFFu);
    return true;
}

static bool wait_for_room(void)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(UART_STATE) & STATE_SENDER_FULL) == 0u) {
            return true;
        }
    }
    return false;
}

void uart_write(uint8_t byte)
{
    if (wait_for_room()) {
        *reg32(UART_DATA) = byte;
    }
}

/* No flag tells when the shift register is empty: one byte's time after the buffer is. */
void uart_drain(void)
{
    (void)wait_for_room();
    const uint32_t byte_cycles = 10u * *reg32(UART_BAUDDIV);
    for (uint32_t cycle = 0u; cycle < byte_cycles; cycle++) {
        __asm__ volatile("nop");
    }
}
