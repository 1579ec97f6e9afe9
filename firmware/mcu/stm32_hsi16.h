/* stm32_hsi16.h: the PLL on the internal 16 MHz oscillator (HSI16), which the STM32G0 and STM32L4+
 * families start in the same registers: RM0444, 3.7 and 5.4, and RM0432, 3.7 and 6.4.
 */
#ifndef STM32_HSI16_H
#define STM32_HSI16_H

#include "stm32_pins.h"

#define RCC_BASE 0x40021000u
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_CFGR (RCC_BASE + 0x08u)
#define RCC_PLLCFGR (RCC_BASE + 0x0Cu)
#define CR_HSION (1u << 8)
#define CR_HSIRDY (1u << 10)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_SRC_HSI (2u << 0)

#define FLASH_ACR 0x40022000u
#define ACR_PREFETCH (1u << 8)
#define ACR_INSTRUCTION_CACHE (1u << 9)
#define ACR_DATA_CACHE (1u << 10)

static inline bool slow_flash_down(uint32_t latency_mask, uint32_t accelerators)
{
    change_bits(FLASH_ACR, latency_mask | accelerators, accelerators | FLASH_WAIT_STATES);
    return wait_for(FLASH_ACR, latency_mask, FLASH_WAIT_STATES);
}

/* `output`: the bits of PLLCFGR for the output that drives the core, R, and its divider. */
static inline bool start_pll(uint32_t output)
{
    *reg32(RCC_CR) |= CR_HSION;
    if (!wait_for(RCC_CR, CR_HSIRDY, CR_HSIRDY)) {
        return false;
    }
    const uint32_t dividers = ((CLOCK_PLL_M - 1u) << 4) + (CLOCK_PLL_N << 8);
    *reg32(RCC_PLLCFGR) = PLLCFGR_SRC_HSI | dividers | output;
    *reg32(RCC_CR) |= CR_PLLON;
    return wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
}

#endif
