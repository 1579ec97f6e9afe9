/* stm32f4_f7.c: clock and pins of the STM32F4 and STM32F7 families.
 *
 * From reset the chip runs from its internal 16 MHz oscillator (HSI). Order of the set-up: RM0390,
 * 5.1 (over-drive), 3.4.1 (flash wait states), 6.2 (clocks). What does not come up leaves HSI.
 * RM0090 (F407) and RM0385 (F746) describe the same registers; what differs is in the board file.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32_pins.h"

/* RM0390, 2.2 */
#define PWR_BASE 0x40007000u
#define RCC_BASE 0x40023800u
#define FLASH_REGISTERS 0x40023C00u
#define GPIO_PORTS 0x40020000u

/* RM0390, 6.3 */
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_PLLCFGR (RCC_BASE + 0x04u)
#define RCC_CFGR (RCC_BASE + 0x08u)
#define RCC_AHB1ENR (RCC_BASE + 0x30u)
#define RCC_APB1ENR (RCC_BASE + 0x40u)
#define RCC_APB2ENR (RCC_BASE + 0x44u)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_SRC_HSE (1u << 22)
#define CFGR_SW_MASK (3u << 0)
#define CFGR_SW_PLL (2u << 0)
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE_MASK ((7u << 10) | (7u << 13))
#define APB1ENR_PWREN_BIT 28u

/* RM0390, 5.4 */
#define PWR_CR (PWR_BASE + 0x00u)
#define PWR_CSR (PWR_BASE + 0x04u)
#define CR_VOS_BIT 14u
#define CR_ODEN (1u << 16)
#define CR_ODSWEN (1u << 17)
#define CSR_ODRDY (1u << 16)
#define CSR_ODSWRDY (1u << 17)

/* RM0390, 3.8.1 */
#define FLASH_ACR (FLASH_REGISTERS + 0x00u)
#define ACR_LATENCY_MASK 0xFu

static bool start_external(void)
{
#if CLOCK_EXTERNAL_BYPASS
    *reg32(RCC_CR) |= CR_HSEBYP;
#endif
    *reg32(RCC_CR) |= CR_HSEON;
    return wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
}

static void set_pll(bool external)
{
    uint32_t source = CLOCK_PLL_M_INTERNAL;
    if (external) {
        source = CLOCK_PLL_M_EXTERNAL | PLLCFGR_SRC_HSE;
    }
    const uint32_t mask = 0x3Fu | (0x1FFu << 6) | PLLCFGR_SRC_HSE;
    change_bits(RCC_PLLCFGR, mask, source | (CLOCK_PLL_N << 6));
    change_bits(RCC_PLLCFGR, 3u << 16, ((CLOCK_PLL_P / 2u) - 1u) << 16);
    *reg32(RCC_CR) |= CR_PLLON;
}

#if CLOCK_OVER_DRIVE
static bool start_over_drive(void)
{
    *reg32(PWR_CR) |= CR_ODEN;
    if (!wait_for(PWR_CSR, CSR_ODRDY, CSR_ODRDY)) {
        return false;
    }
    *reg32(PWR_CR) |= CR_ODSWEN;
    return wait_for(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY);
}
#endif

static bool slow_flash_down(void)
{
    *reg32(FLASH_ACR) = CLOCK_FLASH_ACCELERATION | FLASH_WAIT_STATES;
    return wait_for(FLASH_ACR, ACR_LATENCY_MASK, FLASH_WAIT_STATES);
}

static bool switch_to_pll(void)
{
    if (!wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY)) {
        return false;
    }
    const uint32_t apb1 = prescaler(CLOCK_APB1_DIVIDER, 4u) << 10;
    const uint32_t apb2 = prescaler(CLOCK_APB2_DIVIDER, 4u) << 13;
    change_bits(RCC_CFGR, CFGR_PPRE_MASK, apb1 | apb2);
    change_bits(RCC_CFGR, CFGR_SW_MASK, CFGR_SW_PLL);
    return wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL);
}

static bool start_pll(bool external)
{
    set_pll(external);
#if CLOCK_OVER_DRIVE
    if (!start_over_drive()) {
        return false;
    }
#endif
    if (!slow_flash_down()) {
        return false;
    }
    return switch_to_pll();
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    enable_clock(RCC_APB1ENR, APB1ENR_PWREN_BIT);
    *reg32(PWR_CR) |= CLOCK_VOLTAGE_SCALE << CR_VOS_BIT;
    const bool external = start_external();
    if (!start_pll(external)) {
        /* Prescalers changed without a switch would make the serial port's clock a guess. */
        change_bits(RCC_CFGR, CFGR_SW_MASK | CFGR_PPRE_MASK, 0u);
        return clock;
    }
    clock.core_hz = CLOCK_HZ;
    clock.uart_hz = CLOCK_HZ / (UART_ON_APB2 ? CLOCK_APB2_DIVIDER : CLOCK_APB1_DIVIDER);
    clock.source = external ? CLOCK_SOURCE_PLL_EXTERNAL : CLOCK_SOURCE_PLL_INTERNAL;
    return clock;
}

platform_clock platform_start(void)
{
    const platform_clock clock = start_clock();
    enable_clock(UART_ON_APB2 ? RCC_APB2ENR : RCC_APB1ENR, UART_ENABLE_BIT);
    connect_serial_port(RCC_AHB1ENR, GPIO_PORTS);
    return clock;
}
