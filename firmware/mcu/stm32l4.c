/* stm32l4.c: clock and pins of the STM32L4+ family. RM0432 is its reference manual.
 *
 * From reset the chip runs from its internal 4 MHz oscillator (MSI). Order of the set-up: RM0432,
 * 5.1.8 (range 1 boost), 3.3.3 (flash wait states), 6.2 (clocks). What does not come up leaves MSI.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32_hsi16.h"

/* RM0432, 2.2 and 6.4 */
#define PWR_BASE 0x40007000u
#define GPIO_PORTS 0x48000000u
#define RCC_AHB2ENR (RCC_BASE + 0x4Cu)
#define RCC_APB1ENR1 (RCC_BASE + 0x58u)
#define RCC_APB1ENR2 (RCC_BASE + 0x5Cu)
#define CFGR_SW_MASK (3u << 0)
#define CFGR_SW_PLL (3u << 0)
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_MASK (0xFu << 4)
#define CFGR_HPRE_2 (8u << 4)
#define PLLCFGR_R ((1u << 24) | (((CLOCK_PLL_R / 2u) - 1u) << 25))
#define APB1ENR1_PWREN_BIT 28u

/* RM0432, 5.4. Without the last, port G stays cut off: it has a supply of its own. */
#define PWR_CR2 (PWR_BASE + 0x04u)
#define PWR_CR5 (PWR_BASE + 0x80u)
#define CR5_R1MODE (1u << 8) /* set: normal, clear: boost */
#define CR2_IOSV (1u << 9)

/* RM0432, 3.7.1 */
#define ACR_LATENCY_MASK 0xFu
#define ACR_ACCELERATORS (ACR_PREFETCH | ACR_INSTRUCTION_CACHE | ACR_DATA_CACHE)

/* RM0432, 5.1.8: the halved clock must last 1 us before the whole. */
#define HALF_SPEED_POLLS 100u

/* Beyond 80 MHz the clock rises in two steps. */
static bool switch_to_pll(void)
{
    *reg32(PWR_CR5) &= ~CR5_R1MODE;
    change_bits(RCC_CFGR, CFGR_HPRE_MASK, CFGR_HPRE_2);
    change_bits(RCC_CFGR, CFGR_SW_MASK, CFGR_SW_PLL);
    if (!wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL)) {
        return false;
    }
    for (uint32_t poll = 0u; poll < HALF_SPEED_POLLS; poll++) {
        (void)*reg32(RCC_CFGR);
    }
    change_bits(RCC_CFGR, CFGR_HPRE_MASK, 0u);
    return true;
}

static bool start_fast(void)
{
    if (!slow_flash_down(ACR_LATENCY_MASK, ACR_ACCELERATORS)) {
        return false;
    }
    if (!start_pll(PLLCFGR_R)) {
        return false;
    }
    return switch_to_pll();
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    enable_clock(RCC_APB1ENR1, APB1ENR1_PWREN_BIT);
    if (!start_fast()) {
        change_bits(RCC_CFGR, CFGR_SW_MASK | CFGR_HPRE_MASK, 0u);
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
    *reg32(PWR_CR2) |= CR2_IOSV;
    enable_clock(RCC_APB1ENR2, UART_ENABLE_BIT);
    connect_serial_port(RCC_AHB2ENR, GPIO_PORTS);
    return clock;
}
