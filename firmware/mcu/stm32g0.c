/* stm32g0.c: clock and pins of the STM32G0 family. RM0444 is its reference manual.
 *
 * From reset the chip runs from its internal 16 MHz oscillator (HSI16). What does not come up leaves it.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32.h"
#include "target.h"

/* RM0444, 2.2 */
#define RCC_BASE 0x40021000u
#define FLASH_REGISTERS 0x40022000u
#define GPIO_BASE(port) (0x50000000u + 0x400u * (port))

/* RM0444, 5.4 */
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_CFGR (RCC_BASE + 0x08u)
#define RCC_PLLCFGR (RCC_BASE + 0x0Cu)
#define RCC_IOPENR (RCC_BASE + 0x34u)
#define RCC_APBENR1 (RCC_BASE + 0x3Cu)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define CFGR_SW_MASK (7u << 0)
#define CFGR_SW_PLL (2u << 0)
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL (2u << 3)
#define PLLCFGR_SRC_HSI (2u << 0)
#define PLLCFGR_PLLREN (1u << 28)

/* RM0444, 3.7.1: prefetch, instruction cache */
#define FLASH_ACR (FLASH_REGISTERS + 0x00u)
#define ACR_LATENCY_MASK 7u
#define ACR_ACCELERATE ((1u << 8) | (1u << 9))

static bool slow_flash_down(void)
{
    change_bits(FLASH_ACR, ACR_LATENCY_MASK | ACR_ACCELERATE, ACR_ACCELERATE | FLASH_WAIT_STATES);
    return wait_for(FLASH_ACR, ACR_LATENCY_MASK, FLASH_WAIT_STATES);
}

static bool start_pll(void)
{
    const uint32_t dividers = ((CLOCK_PLL_M - 1u) << 4) + ((CLOCK_PLL_R - 1u) << 29);
    *reg32(RCC_PLLCFGR) = PLLCFGR_SRC_HSI | PLLCFGR_PLLREN | dividers | (CLOCK_PLL_N << 8);
    *reg32(RCC_CR) |= CR_PLLON;
    return wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY);
}

static bool start_fast(void)
{
    if (!slow_flash_down()) {
        return false;
    }
    if (!start_pll()) {
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
    enable_clock(RCC_IOPENR, UART_TX_PORT);
    enable_clock(RCC_IOPENR, UART_RX_PORT);
    connect_pin(GPIO_BASE(UART_TX_PORT), UART_TX_PIN, UART_ALTERNATE_FUNCTION);
    connect_pin(GPIO_BASE(UART_RX_PORT), UART_RX_PIN, UART_ALTERNATE_FUNCTION);
    return clock;
}
