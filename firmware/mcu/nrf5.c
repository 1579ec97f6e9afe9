/* nrf5.c: clock and pins of the nRF51 and nRF52 families. nRF51 Series Reference Manual and nRF52840
 * Product Specification, chapters CLOCK, GPIO and NVMC.
 *
 * The core's frequency is fixed. Until the crystal runs, an internal oscillator gives it, too inexact
 * for a serial port in the worst case.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "registers.h"
#include "target.h"

#define CLOCK_BASE 0x40000000u
#define CLOCK_TASKS_HFCLKSTART (CLOCK_BASE + 0x000u)
#define CLOCK_EVENTS_HFCLKSTARTED (CLOCK_BASE + 0x100u)

/* Ports lie 0x300 apart; 32 pins each. */
#define GPIO_BASE(port) (0x50000000u + 0x300u * (port))
#define GPIO_OUTSET(port) (GPIO_BASE(port) + 0x508u)
#define GPIO_PIN_CNF(port, pin) (GPIO_BASE(port) + 0x700u + 4u * (pin))
#define PIN_OUTPUT 3u          /* output, input buffer off */
#define PIN_PULLED_INPUT 0xCu  /* input, pulled up */

#define NVMC_ICACHECNF 0x4001E540u
#define ICACHECNF_CACHEEN 1u

static bool start_crystal(void)
{
    *reg32(CLOCK_EVENTS_HFCLKSTARTED) = 0u;
    *reg32(CLOCK_TASKS_HFCLKSTART) = 1u;
    return wait_for(CLOCK_EVENTS_HFCLKSTARTED, 1u, 1u);
}

platform_clock platform_start(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    if (start_crystal()) {
        clock.core_hz = CLOCK_HZ;
        clock.uart_hz = CLOCK_HZ;
        clock.source = CLOCK_SOURCE_EXTERNAL;
    }
#if CLOCK_INSTRUCTION_CACHE
    *reg32(NVMC_ICACHECNF) = ICACHECNF_CACHEEN;
#endif
    *reg32(GPIO_OUTSET(UART_TX_PORT)) = 1u << UART_TX_PIN; /* idle is high */
    *reg32(GPIO_PIN_CNF(UART_TX_PORT, UART_TX_PIN)) = PIN_OUTPUT;
    *reg32(GPIO_PIN_CNF(UART_RX_PORT, UART_RX_PIN)) = PIN_PULLED_INPUT;
    return clock;
}
