/* stm32h7.c: clock and pins of the STM32H743 family. RM0433 is its reference manual.
 *
 * From reset the chip runs from its internal 64 MHz oscillator (HSI), its flash at the slowest. Order
 * of the set-up: RM0433, 6.4.1 (supply), 6.6.2 (voltage scale), 4.3.8 (flash wait states), 8.5 (clocks).
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32_pins.h"

/* RM0433, 2.3.2 */
#define FLASH_REGISTERS 0x52002000u
#define GPIO_PORTS 0x58020000u
#define RCC_BASE 0x58024400u
#define PWR_BASE 0x58024800u

/* RM0433, 8.7 */
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_CFGR (RCC_BASE + 0x10u)
#define RCC_D1CFGR (RCC_BASE + 0x18u)
#define RCC_D2CFGR (RCC_BASE + 0x1Cu)
#define RCC_D3CFGR (RCC_BASE + 0x20u)
#define RCC_PLLCKSELR (RCC_BASE + 0x28u)
#define RCC_PLLCFGR (RCC_BASE + 0x2Cu)
#define RCC_PLL1DIVR (RCC_BASE + 0x30u)
#define RCC_AHB4ENR (RCC_BASE + 0xE0u)
#define RCC_APB1LENR (RCC_BASE + 0xE8u)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLL1ON (1u << 24)
#define CR_PLL1RDY (1u << 25)
#define CFGR_SW_MASK (7u << 0)
#define CFGR_SW_PLL1 (3u << 0)
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define PLLCKSELR_SRC_HSE (2u << 0)
#define PLLCKSELR_MASK ((3u << 0) | (0x3Fu << 4))
#define PLLCFGR_MASK ((0xFu << 0) | (7u << 16))
#define PLLCFGR_INPUT_2_TO_4_MHZ (1u << 2) /* with the wide VCO range */
#define PLLCFGR_DIVP1EN (1u << 16)

/* RM0433, 6.8 */
#define PWR_CSR1 (PWR_BASE + 0x04u)
#define PWR_CR3 (PWR_BASE + 0x0Cu)
#define PWR_D3CR (PWR_BASE + 0x18u)
#define CSR1_ACTVOSRDY (1u << 13)
#define CR3_SUPPLY_MASK (7u << 0)
#define CR3_LDOEN (1u << 1)
#define D3CR_VOSRDY (1u << 13)
#define D3CR_VOS_SCALE_1 (3u << 14)

/* RM0433, 4.9.1 */
#define FLASH_ACR (FLASH_REGISTERS + 0x00u)
#define ACR_MASK 0x3Fu
#define ACR_WRHIGHFREQ (2u << 4)

/* The supply must be chosen, once, before the voltage may change. */
static bool raise_voltage(void)
{
    change_bits(PWR_CR3, CR3_SUPPLY_MASK, CR3_LDOEN);
    if (!wait_for(PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY)) {
        return false;
    }
    *reg32(PWR_D3CR) |= D3CR_VOS_SCALE_1;
    return wait_for(PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY);
}

/* The external clock is a square wave from the debug probe, hence the bypass. */
static bool start_external(void)
{
    *reg32(RCC_CR) |= CR_HSEBYP;
    *reg32(RCC_CR) |= CR_HSEON;
    return wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
}

static bool start_pll(bool external)
{
    uint32_t source = CLOCK_PLL_M_INTERNAL << 4;
    if (external) {
        source = (CLOCK_PLL_M_EXTERNAL << 4) | PLLCKSELR_SRC_HSE;
    }
    change_bits(RCC_PLLCKSELR, PLLCKSELR_MASK, source);
    change_bits(RCC_PLLCFGR, PLLCFGR_MASK, PLLCFGR_INPUT_2_TO_4_MHZ | PLLCFGR_DIVP1EN);
    *reg32(RCC_PLL1DIVR) = (CLOCK_PLL_N - 1u) | ((CLOCK_PLL_P - 1u) << 9);
    *reg32(RCC_CR) |= CR_PLL1ON;
    return wait_for(RCC_CR, CR_PLL1RDY, CR_PLL1RDY);
}

/* More wait states than at reset are never needed: the flash goes faster last. */
static void set_buses(void)
{
    const uint32_t apb = prescaler(CLOCK_APB_DIVIDER, 4u);
    *reg32(RCC_D1CFGR) = prescaler(CLOCK_AHB_DIVIDER, 8u) | (apb << 4);
    *reg32(RCC_D2CFGR) = (apb << 4) | (apb << 8);
    *reg32(RCC_D3CFGR) = apb << 4;
}

static bool switch_to_pll(void)
{
    set_buses();
    change_bits(RCC_CFGR, CFGR_SW_MASK, CFGR_SW_PLL1);
    if (!wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL1)) {
        return false;
    }
    change_bits(FLASH_ACR, ACR_MASK, ACR_WRHIGHFREQ | FLASH_WAIT_STATES);
    return true;
}

static bool start_fast(bool external)
{
    if (!raise_voltage()) {
        return false;
    }
    if (!start_pll(external)) {
        return false;
    }
    return switch_to_pll();
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    const bool external = start_external();
    if (!start_fast(external)) {
        change_bits(RCC_CFGR, CFGR_SW_MASK, 0u);
        *reg32(RCC_D1CFGR) = 0u;
        *reg32(RCC_D2CFGR) = 0u;
        *reg32(RCC_D3CFGR) = 0u;
        return clock;
    }
    clock.core_hz = CLOCK_HZ;
    clock.uart_hz = CLOCK_HZ / CLOCK_AHB_DIVIDER / CLOCK_APB_DIVIDER;
    clock.source = external ? CLOCK_SOURCE_PLL_EXTERNAL : CLOCK_SOURCE_PLL_INTERNAL;
    return clock;
}

platform_clock platform_start(void)
{
    const platform_clock clock = start_clock();
    enable_clock(RCC_APB1LENR, UART_ENABLE_BIT);
    connect_serial_port(RCC_AHB4ENR, GPIO_PORTS);
    return clock;
}
