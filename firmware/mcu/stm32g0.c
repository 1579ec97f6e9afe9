/* stm32g0.c: clock and pins of the STM32G0 family. RM0444 is its reference manual.
 *
 * From reset the chip runs from HSI16. What does not come up leaves it.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32_hsi16.h"

/* RM0444, 2.2 and 5.4 */
#define GPIO_PORTS 0x50000000u
#define RCC_IOPENR (RCC_BASE + 0x34u)
#define RCC_APBENR1 (RCC_BASE + 0x3Cu)
#define CFGR_SW_MASK (7u << 0)
#define CFGR_SW_PLL (2u << 0)
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL (2u << 3)
#define PLLCFGR_R ((1u << 28) | ((CLOCK_PLL_R - 1u) << 29))

/* RM0444, 3.7.1 */
#define ACR_LATENCY_MASK 7u
#define ACR_ACCELERATORS (ACR_PREFETCH | ACR_INSTRUCTION_CACHE)

static bool start_fast(void)
{
    if (!slow_flash_down(ACR_LATENCY_MASK, ACR_ACCELERATORS)) {
        return false;
    }
    if (!start_pll(PLLCFGR_R)) {
        return false;
    }
    change_bits(RCC_CFGR, CFGR_SW_MASK, CFGR_SW_PLL);
    return wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL);
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    if (!start_fast()) {
        change_bits(RCC_CFGR, CFGR_SW_MASK, 0u);
        return clock;
    }
    clock.core_hz = CLOCK_HZ;
    clock.uart_hz = CLOCK_HZ;
    clock.source = CLOCK_SOURCE_PLL_INTERNAL;
    return clock;
}

platform_clock platform_start(void)
{
    const platform_clock clock = start_clock();
    enable_clock(RCC_APBENR1, UART_ENABLE_BIT);
    connect_serial_port(RCC_IOPENR, GPIO_PORTS);
    return clock;
}
