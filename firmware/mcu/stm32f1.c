/* stm32f1.c: clock and pins of the STM32F103 family. RM0008 is its reference manual.
 *
 * From reset the chip runs from its internal 8 MHz oscillator (HSI). What does not come up leaves it.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "stm32.h"
#include "target.h"

/* RM0008, 3.3 */
#define RCC_BASE 0x40021000u
#define FLASH_REGISTERS 0x40022000u
#define GPIO_BASE(port) (0x40010800u + 0x400u * (port))

/* RM0008, 7.3 */
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_CFGR (RCC_BASE + 0x04u)
#define RCC_APB2ENR (RCC_BASE + 0x18u)
#define RCC_APB1ENR (RCC_BASE + 0x1Cu)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define CFGR_SW_MASK (3u << 0)
#define CFGR_SW_PLL (2u << 0)
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_MASK (7u << 8)
#define CFGR_PLL_MASK (0x3Fu << 16)
#define CFGR_PLLSRC_HSE (1u << 16) /* else HSI / 2 */
#define CFGR_PLLMUL(factor) (((factor)-2u) << 18)
#define APB2ENR_IOPAEN_BIT 2u

/* RM0008, 3.3.3 */
#define FLASH_ACR (FLASH_REGISTERS + 0x00u)
#define ACR_LATENCY_MASK 7u
#define ACR_PREFETCH (1u << 4)

/* RM0008, 9.2: four bits a pin, mode and configuration */
#define GPIO_CR(pin) (4u * ((pin) / 8u))
#define GPIO_BSRR 0x10u
#define PIN_ALTERNATE_OUTPUT 0xBu
#define PIN_PULLED_INPUT 0x8u

static bool start_external(void)
{
    *reg32(RCC_CR) |= CR_HSEON;
    return wait_for(RCC_CR, CR_HSERDY, CR_HSERDY);
}

static bool slow_flash_down(void)
{
    *reg32(FLASH_ACR) = ACR_PREFETCH | FLASH_WAIT_STATES;
    return wait_for(FLASH_ACR, ACR_LATENCY_MASK, FLASH_WAIT_STATES);
}

static bool start_pll(bool external)
{
    uint32_t source = CFGR_PLLMUL(CLOCK_PLL_MULTIPLIER_INTERNAL);
    if (external) {
        source = CFGR_PLLMUL(CLOCK_PLL_MULTIPLIER_EXTERNAL) | CFGR_PLLSRC_HSE;
    }
    if (!slow_flash_down()) {
        return false;
    }
    change_bits(RCC_CFGR, CFGR_PLL_MASK, source);
    *reg32(RCC_CR) |= CR_PLLON;
    if (!wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY)) {
        return false;
    }
    change_bits(RCC_CFGR, CFGR_PPRE1_MASK, prescaler(CLOCK_APB1_DIVIDER, 4u) << 8);
    change_bits(RCC_CFGR, CFGR_SW_MASK, CFGR_SW_PLL);
    return wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL);
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    const bool external = start_external();
    if (!start_pll(external)) {
        change_bits(RCC_CFGR, CFGR_SW_MASK | CFGR_PPRE1_MASK, 0u);
        return clock;
    }
    clock.core_hz = CLOCK_FALLBACK_HZ / 2u * CLOCK_PLL_MULTIPLIER_INTERNAL;
    clock.source = CLOCK_SOURCE_PLL_INTERNAL;
    if (external) {
        clock.core_hz = CLOCK_HZ;
        clock.source = CLOCK_SOURCE_PLL_EXTERNAL;
    }
    clock.uart_hz = clock.core_hz / (UART_ON_APB2 ? 1u : CLOCK_APB1_DIVIDER);
    return clock;
}

static void configure_pin(uint32_t port, uint32_t pin, uint32_t configuration)
{
    const uint32_t nibble = 4u * (pin % 8u);
    enable_clock(RCC_APB2ENR, APB2ENR_IOPAEN_BIT + port);
    change_bits(GPIO_BASE(port) + GPIO_CR(pin), 0xFu << nibble, configuration << nibble);
}

platform_clock platform_start(void)
{
    const platform_clock clock = start_clock();
    enable_clock(UART_ON_APB2 ? RCC_APB2ENR : RCC_APB1ENR, UART_ENABLE_BIT);
    configure_pin(UART_TX_PORT, UART_TX_PIN, PIN_ALTERNATE_OUTPUT);
    configure_pin(UART_RX_PORT, UART_RX_PIN, PIN_PULLED_INPUT);
    *reg32(GPIO_BASE(UART_RX_PORT) + GPIO_BSRR) = 1u << UART_RX_PIN; /* pulled up */
    return clock;
}
