/* pl011.c: Arm's PrimeCell UART (PL011), polled, with its FIFOs on.
 *
 * PrimeCell UART Technical Reference Manual (DDI 0183), 3.3.
 */
#include "platform.h"
#include "target.h"

#define UART_DR (UART_BASE + 0x00u)
#define UART_FR (UART_BASE + 0x18u)
#define UART_IBRD (UART_BASE + 0x24u)
#define UART_FBRD (UART_BASE + 0x28u)
#define UART_LCR_H (UART_BASE + 0x2Cu)
#define UART_CR (UART_BASE + 0x30u)

#define FR_BUSY (1u << 3)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define LCR_H_FIFO_8_BITS ((1u << 4) | (3u << 5))
#define CR_ENABLE ((1u << 0) | (1u << 8) | (1u << 9))

/* 32 bytes take 350,000 core cycles at 125 MHz and 115,200 baud; a poll takes several. */
#define POLLS_MAX 100000u

/* The divider has 6 bits behind the point: 64 × clock / (16 × baud), rounded. A write to LCR_H takes
 * over both of its registers (3.3.6). */
void uart_start(uint32_t uart_hz, uint32_t baud)
{
    const uint32_t divider = (4u * uart_hz + baud / 2u) / baud;
    *reg32(UART_IBRD) = divider >> 6;
    *reg32(UART_FBRD) = divider & 63u;
    *reg32(UART_LCR_H) = LCR_H_FIFO_8_BITS;
    *reg32(UART_CR) = CR_ENABLE;
}

bool uart_read(uint8_t *byte)
{
    if ((*reg32(UART_FR) & FR_RXFE) != 0u) {
        return false;
    }
    *byte = (uint8_t)(*reg32(UART_DR) & 0xFFu);
    return true;
}

static bool wait_until_clear(uint32_t flag)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(UART_FR) & flag) == 0u) {
            return true;
        }
    }
    return false;
}

void uart_write(uint8_t byte)
{
    if (wait_until_clear(FR_TXFF)) {
        *reg32(UART_DR) = byte;
    }
}

void uart_drain(void)
{
    (void)wait_until_clear(FR_BUSY);
}
