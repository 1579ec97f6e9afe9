/* stm32_usart_v2.c: the second generation of ST's USART (STM32F0, F3, F7, G0, G4, H7, L4, ...) and its
 * low-power variant, polled.
 *
 * RM0385, 31.8: CR1, CR3, BRR, ISR, RDR, TDR. After reset: 8 data bits, no parity, 1 stop bit, 16-fold
 * oversampling, no FIFO.
 */
#include "platform.h"
#include "target.h"

#define USART_CR1 (UART_BASE + 0x00u)
#define USART_CR3 (UART_BASE + 0x08u)
#define USART_BRR (UART_BASE + 0x0Cu)
#define USART_ISR (UART_BASE + 0x1Cu)
#define USART_RDR (UART_BASE + 0x24u)
#define USART_TDR (UART_BASE + 0x28u)

#define CR1_UE (1u << 0)
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define CR3_OVRDIS (1u << 12)
#define ISR_RXNE (1u << 5)
#define ISR_TC (1u << 6)
#define ISR_TXE (1u << 7)

/* A byte takes 34,722 core cycles at 400 MHz and 115,200 baud; a poll takes several. */
#define POLLS_MAX 100000u

/* An overrun would stop the receiver until its flag is cleared; without the flag the CRC finds it. */
void uart_start(uint32_t uart_hz, uint32_t baud)
{
    const uint32_t rest = (uart_hz % baud) * UART_TICKS_PER_CLOCK;
    *reg32(USART_BRR) = uart_hz / baud * UART_TICKS_PER_CLOCK + (rest + baud / 2u) / baud;
    *reg32(USART_CR3) = CR3_OVRDIS;
    *reg32(USART_CR1) = CR1_UE | CR1_TE | CR1_RE;
}

bool uart_read(uint8_t *byte)
{
    if ((*reg32(USART_ISR) & ISR_RXNE) == 0u) {
        return false;
    }
    *byte = (uint8_t)(*reg32(USART_RDR) & 0xFFu);
    return true;
}

static bool wait_for(uint32_t flag)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(USART_ISR) & flag) != 0u) {
            return true;
        }
    }
    return false;
}

void uart_write(uint8_t byte)
{
    if (wait_for(ISR_TXE)) {
        *reg32(USART_TDR) = byte;
    }
}

void uart_drain(void)
{
    (void)wait_for(ISR_TC);
}
