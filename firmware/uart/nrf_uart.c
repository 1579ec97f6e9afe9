/* nrf_uart.c: Nordic's UART without DMA (nRF51, nRF52), polled.
 *
 * nRF51 Series Reference Manual and nRF52840 Product Specification, chapter UART. 8 data bits, no
 * parity, 1 stop bit after reset. The receiver has room for six bytes.
 */
#include "platform.h"
#include "target.h"

#define UART_STARTRX (UART_BASE + 0x000u)
#define UART_STARTTX (UART_BASE + 0x008u)
#define UART_RXDRDY (UART_BASE + 0x108u)
#define UART_TXDRDY (UART_BASE + 0x11Cu)
#define UART_ENABLE (UART_BASE + 0x500u)
#define UART_PSELTXD (UART_BASE + 0x50Cu)
#define UART_PSELRXD (UART_BASE + 0x514u)
#define UART_RXD (UART_BASE + 0x518u)
#define UART_TXD (UART_BASE + 0x51Cu)
#define UART_BAUDRATE (UART_BASE + 0x524u)

#define ENABLE_UART 4u
#define PIN(port, pin) (32u * (port) + (pin))

/* The baud rate's generator runs at 16 MHz whatever the core's clock; the lower 12 bits are zero. */
#define GENERATOR_HZ 16000000u
#define BAUDRATE_STEP 0x1000u

/* A byte takes 5,600 core cycles at 64 MHz and 115,200 baud; a poll takes several. */
#define POLLS_MAX 10000u

void uart_start(uint32_t uart_hz, uint32_t baud)
{
    (void)uart_hz;
    const uint32_t rate = (uint32_t)(((uint64_t)baud << 32) / GENERATOR_HZ);
    *reg32(UART_PSELTXD) = PIN(UART_TX_PORT, UART_TX_PIN);
    *reg32(UART_PSELRXD) = PIN(UART_RX_PORT, UART_RX_PIN);
    *reg32(UART_BAUDRATE) = (rate + BAUDRATE_STEP / 2u) & ~(BAUDRATE_STEP - 1u);
    *reg32(UART_ENABLE) = ENABLE_UART;
    *reg32(UART_STARTTX) = 1u;
    *reg32(UART_STARTRX) = 1u;
}

/* The event is cleared first: one for the next byte that comes after the read is not lost. */
bool uart_read(uint8_t *byte)
{
    if (*reg32(UART_RXDRDY) == 0u) {
        return false;
    }
    *reg32(UART_RXDRDY) = 0u;
    *byte = (uint8_t)(*reg32(UART_RXD) & 0xFFu);
    return true;
}

/* The event says that the byte has left; a byte is on its way only within this function. */
void uart_write(uint8_t byte)
{
    *reg32(UART_TXDRDY) = 0u;
    *reg32(UART_TXD) = byte;
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if (*reg32(UART_TXDRDY) != 0u) {
            break;
        }
    }
}

void uart_drain(void)
{
}
