/* stm32f4.c: clock, pins and reset of the STM32F4 family with over-drive (F446; RM0390).
 *
 * From reset the chip runs from its internal 16 MHz oscillator (HSI). Order of the set-up: RM0390,
 * 5.1 (over-drive), 3.4.1 (flash wait states), 6.2 (clocks). What does not come up leaves HSI.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "target.h"

/* RM0390, 2.2 */
#define PWR_BASE 0x40007000u
#define RCC_BASE 0x40023800u
#define FLASH_REGISTERS 0x40023C00u
#define GPIO_BASE(port) (0x40020000u + 0x400u * (port))

/* RM0390, 6.3 */
#define RCC_CR (RCC_BASE + 0x00u)
#define RCC_PLLCFGR (RCC_BASE + 0x04u)
#define RCC_CFGR (RCC_BASE + 0x08u)
#define RCC_AHB1ENR (RCC_BASE + 0x30u)
#define RCC_APB1ENR (RCC_BASE + 0x40u)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_SRC_HSE (1u << 22)
#define CFGR_SW_PLL (2u << 0)
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define APB1ENR_PWREN_BIT 28u

/* RM0390, 5.4 */
#define PWR_CR (PWR_BASE + 0x00u)
#define PWR_CSR (PWR_BASE + 0x04u)
#define CR_VOS_SCALE_1 (3u << 14)
#define CR_ODEN (1u << 16)
#define CR_ODSWEN (1u << 17)
#define CSR_ODRDY (1u << 16)
#define CSR_ODSWRDY (1u << 17)

/* RM0390, 3.8.1: prefetch, instruction cache, data cache */
#define FLASH_ACR (FLASH_REGISTERS + 0x00u)
#define ACR_LATENCY_MASK 0xFu
#define ACR_ACCELERATE ((1u << 8) | (1u << 9) | (1u << 10))

/* RM0390, 7.4 */
#define GPIO_MODER(port) (GPIO_BASE(port) + 0x00u)
#define GPIO_PUPDR(port) (GPIO_BASE(port) + 0x0Cu)
#define GPIO_AFR(port, pin) (GPIO_BASE(port) + 0x20u + 4u * ((pin) / 8u))
#define MODE_ALTERNATE 2u
#define PULL_UP 1u

/* DDI 0403, B3.2 */
#define SCB_VTOR 0xE000ED08u
#define SCB_AIRCR 0xE000ED0Cu
#define AIRCR_SYSRESETREQ 0x05FA0004u

/* Slowest flag: the PLL's, 300 us at most (DS10693, PLL characteristics). A poll takes more than 4
 * cycles of 16 MHz, so that this is more than 10 ms. */
#define POLLS_MAX 50000u

static bool wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

static void change_bits(uint32_t address, uint32_t mask, uint32_t value)
{
    *reg32(address) = (*reg32(address) & ~mask) | value;
}

/* A peripheral answers two cycles after its clock was enabled (errata of the STM32F446, "delay
 * after an RCC peripheral clock enabling"); the read takes them. */
static void enable_clock(uint32_t enable_register, uint32_t bit)
{
    *reg32(enable_register) |= 1u << bit;
    (void)*reg32(enable_register);
}

/* The external clock is a square wave from the debug probe, hence the bypass. */
static bool start_external(void)
{
    *reg32(RCC_CR) |= CR_HSEBYP;
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

static bool start_over_drive(void)
{
    *reg32(PWR_CR) |= CR_ODEN;
    if (!wait_for(PWR_CSR, CSR_ODRDY, CSR_ODRDY)) {
        return false;
    }
    *reg32(PWR_CR) |= CR_ODSWEN;
    return wait_for(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY);
}

static bool slow_flash_down(void)
{
    *reg32(FLASH_ACR) = ACR_ACCELERATE | FLASH_WAIT_STATES;
    return wait_for(FLASH_ACR, ACR_LATENCY_MASK, FLASH_WAIT_STATES);
}

/* RCC_CFGR codes a division by 2^n as 4 + (n - 1), and by 1 as 0 (RM0390, 6.3.3). */
static uint32_t prescaler(uint32_t divider)
{
    uint32_t code = 3u;
    for (uint32_t rest = divider; rest > 1u; rest /= 2u) {
        code++;
    }
    if (code == 3u) {
        return 0u;
    }
    return code;
}

static bool switch_to_pll(void)
{
    if (!wait_for(RCC_CR, CR_PLLRDY, CR_PLLRDY)) {
        return false;
    }
    const uint32_t apb1 = prescaler(CLOCK_APB1_DIVIDER) << 10;
    const uint32_t apb2 = prescaler(CLOCK_APB2_DIVIDER) << 13;
    change_bits(RCC_CFGR, (7u << 10) | (7u << 13), apb1 | apb2);
    change_bits(RCC_CFGR, 3u, CFGR_SW_PLL);
    return wait_for(RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL);
}

static bool start_pll(bool external)
{
    set_pll(external);
    if (!start_over_drive()) {
        return false;
    }
    if (!slow_flash_down()) {
        return false;
    }
    return switch_to_pll();
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    enable_clock(RCC_APB1ENR, APB1ENR_PWREN_BIT);
    *reg32(PWR_CR) |= CR_VOS_SCALE_1;
    const bool external = start_external();
    if (!start_pll(external)) {
        /* Prescalers changed without a switch would make the serial port's clock a guess. */
        change_bits(RCC_CFGR, 3u | (7u << 10) | (7u << 13), 0u);
        return clock;
    }
    clock.core_hz = CLOCK_HZ;
    clock.uart_hz = CLOCK_HZ / CLOCK_APB1_DIVIDER;
    clock.source = CLOCK_SOURCE_PLL_INTERNAL;
    if (external) {
        clock.source = CLOCK_SOURCE_PLL_EXTERNAL;
    }
    return clock;
}

static void connect_pin(uint32_t port, uint32_t pin)
{
    enable_clock(RCC_AHB1ENR, port);
    change_bits(GPIO_AFR(port, pin), 0xFu << (4u * (pin % 8u)),
                UART_ALTERNATE_FUNCTION << (4u * (pin % 8u)));
    change_bits(GPIO_PUPDR(port), 3u << (2u * pin), PULL_UP << (2u * pin));
    change_bits(GPIO_MODER(port), 3u << (2u * pin), MODE_ALTERNATE << (2u * pin));
}

platform_clock platform_start(void)
{
    *reg32(SCB_VTOR) = FLASH_BASE; /* also when a debugger or boot loader started the image */
    const platform_clock clock = start_clock();
    enable_clock(RCC_APB1ENR, UART_ENABLE_BIT);
    connect_pin(UART_TX_PORT, UART_TX_PIN);
    connect_pin(UART_RX_PORT, UART_RX_PIN);
    return clock;
}

void platform_reset(void)
{
    __asm__ volatile("dsb" ::: "memory");
    *reg32(SCB_AIRCR) = AIRCR_SYSRESETREQ;
    for (;;) {
    }
}
