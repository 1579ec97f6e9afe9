/* stm32_usart_v1.c: the first generation of ST's USART (STM32F1, F2, F4, L1), polled.
 *
 * RM0390, 25.6: SR, DR, BRR, CR1. After reset: 8 data bits, no parity, 1 stop bit, 16-fold
 * oversampling.
 */
#include "platform.h"
#include "target.h"

#define USART_SR (UART_BASE + 0x00u)
#define USART_DR (UART_BASE + 0x04u)
#define USART_BRR (UART_BASE + 0x08u)
#define USART_CR1 (UART_BASE + 0x0Cu)

#define SR_RXNE (1u << 5)
#define SR_TC (1u << 6)
#define SR_TXE (1u << 7)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR1_UE (1u << 13)

/* A byte takes 16,000 core cycles at 180 MHz and 115,200 baud; a poll takes several. */
#define POLLS_MAX 100000u

void uart_start(uint32_t uart_hz, uint32_t baud)
{
    *reg32(USART_BRR) = (uart_hz + baud / 2u) / baud;
    *reg32(USART_CR1) = CR1_UE | CR1_TE | CR1_RE;
}

/* Overrun, noise and framing flags need no look: reading SR and then DR clears them (25.6.1), and
 * the CRC finds what they would tell. */
bool uart_read(uint8_t *byte)
{
    if ((*reg32(USART_SR) & SR_RXNE) == 0u) {
        return false;
    }
    *byte = (uint8_t)(*reg32(USART_DR) & 0xFFu);
    return true;
}

static bool wait_for(uint32_t flag)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(USART_SR) & flag) != 0u) {
            return true;
        }
    }
    return false;
}

void uart_write(uint8_t byte)
{
    if (wait_for(SR_TXE)) {
        *reg32(USART_DR) = byte;
    }
}

void uart_drain(void)
{
    (void)wait_for(SR_TC);
}
