/* rp2040.c: clock and pins of the RP2040. Sections are those of the RP2040 Datasheet.
 *
 * From reset the core and its peripherals' resets are as the boot ROM leaves them: the ring oscillator
 * drives clk_ref and clk_sys. What does not come up leaves them there.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "registers.h"
#include "target.h"

/* 2.2 */
#define CLOCKS_BASE 0x40008000u
#define RESETS_BASE 0x4000C000u
#define IO_BANK0_BASE 0x40014000u
#define PADS_BANK0_BASE 0x4001C000u
#define XOSC_BASE 0x40024000u
#define PLL_SYS_BASE 0x40028000u

/* 2.14.3. A clear bit lets the peripheral go. */
#define RESETS_RESET (RESETS_BASE + 0x0u)
#define RESETS_DONE (RESETS_BASE + 0x8u)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_UART0 (1u << 22)

/* 2.16.7 */
#define XOSC_CTRL (XOSC_BASE + 0x00u)
#define XOSC_STATUS (XOSC_BASE + 0x04u)
#define XOSC_STARTUP (XOSC_BASE + 0x0Cu)
#define CTRL_ENABLE_1_TO_15_MHZ 0x00FABAA0u
#define STATUS_STABLE (1u << 31)
#define STARTUP_1_MS ((CLOCK_EXTERNAL_HZ / 1000u + 128u) / 256u)

/* 2.18.4 */
#define PLL_CS (PLL_SYS_BASE + 0x0u)
#define PLL_PWR (PLL_SYS_BASE + 0x4u)
#define PLL_FBDIV (PLL_SYS_BASE + 0x8u)
#define PLL_PRIM (PLL_SYS_BASE + 0xCu)
#define CS_LOCK (1u << 31)
#define PWR_CORE_AND_VCO_OFF ((1u << 0) | (1u << 5))
#define PWR_POST_DIVIDERS_OFF (1u << 3)

/* 2.15.7. SELECTED has one bit per source. */
#define CLK_REF_CTRL (CLOCKS_BASE + 0x30u)
#define CLK_REF_SELECTED (CLOCKS_BASE + 0x38u)
#define CLK_SYS_CTRL (CLOCKS_BASE + 0x3Cu)
#define CLK_SYS_SELECTED (CLOCKS_BASE + 0x44u)
#define CLK_PERI_CTRL (CLOCKS_BASE + 0x48u)
#define REF_SRC_MASK 3u
#define REF_SRC_XOSC 2u
#define SYS_SRC_AUXILIARY 1u /* whose reset value is PLL_SYS */
#define PERI_ENABLE (1u << 11) /* from clk_sys */

/* 2.19.6 */
#define GPIO_CTRL(pin) (IO_BANK0_BASE + 8u * (pin) + 4u)
#define FUNCTION_UART 2u
#define PAD(pin) (PADS_BANK0_BASE + 4u + 4u * (pin))
#define PAD_INPUT_PULLED_UP ((1u << 6) | (1u << 4) | (1u << 3) | (1u << 1))

static bool release(uint32_t peripherals)
{
    *reg32(RESETS_RESET) &= ~peripherals;
    return wait_for(RESETS_DONE, peripherals, peripherals);
}

static bool start_crystal(void)
{
    *reg32(XOSC_STARTUP) = STARTUP_1_MS;
    *reg32(XOSC_CTRL) = CTRL_ENABLE_1_TO_15_MHZ;
    return wait_for(XOSC_STATUS, STATUS_STABLE, STATUS_STABLE);
}

/* A restart resets the processor alone: the clocks may still be as the last image left them. */
static bool leave_pll(void)
{
    *reg32(CLK_SYS_CTRL) = 0u;
    const bool left = wait_for(CLK_SYS_SELECTED, 1u, 1u);
    *reg32(RESETS_RESET) |= RESET_PLL_SYS;
    return left;
}

static bool start_pll(void)
{
    if (!release(RESET_PLL_SYS)) {
        return false;
    }
    *reg32(PLL_CS) = 1u; /* the crystal's frequency, undivided */
    *reg32(PLL_FBDIV) = CLOCK_PLL_FEEDBACK;
    *reg32(PLL_PWR) &= ~PWR_CORE_AND_VCO_OFF;
    if (!wait_for(PLL_CS, CS_LOCK, CS_LOCK)) {
        return false;
    }
    *reg32(PLL_PRIM) = (CLOCK_PLL_DIVIDER_1 << 16) | (CLOCK_PLL_DIVIDER_2 << 12);
    *reg32(PLL_PWR) &= ~PWR_POST_DIVIDERS_OFF;
    return true;
}

static bool start_fast(void)
{
    if (!leave_pll()) {
        return false;
    }
    if (!start_crystal()) {
        return false;
    }
    if (!start_pll()) {
        return false;
    }
    change_bits(CLK_REF_CTRL, REF_SRC_MASK, REF_SRC_XOSC);
    if (!wait_for(CLK_REF_SELECTED, 1u << REF_SRC_XOSC, 1u << REF_SRC_XOSC)) {
        return false;
    }
    *reg32(CLK_SYS_CTRL) = SYS_SRC_AUXILIARY;
    return wait_for(CLK_SYS_SELECTED, 1u << SYS_SRC_AUXILIARY, 1u << SYS_SRC_AUXILIARY);
}

static platform_clock start_clock(void)
{
    platform_clock clock = {CLOCK_FALLBACK_HZ, CLOCK_FALLBACK_HZ, CLOCK_SOURCE_INTERNAL};
    if (!start_fast()) {
        *reg32(CLK_SYS_CTRL) = 0u;
        change_bits(CLK_REF_CTRL, REF_SRC_MASK, 0u);
        return clock;
    }
    clock.core_hz = CLOCK_HZ;
    clock.uart_hz = CLOCK_HZ;
    clock.source = CLOCK_SOURCE_PLL_EXTERNAL;
    return clock;
}

static void connect_pin(uint32_t pin)
{
    *reg32(PAD(pin)) = PAD_INPUT_PULLED_UP;
    *reg32(GPIO_CTRL(pin)) = FUNCTION_UART;
}

platform_clock platform_start(void)
{
    const platform_clock clock = start_clock();
    *reg32(CLK_PERI_CTRL) = PERI_ENABLE;
    (void)release(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    connect_pin(UART_TX_PIN);
    connect_pin(UART_RX_PIN);
    return clock;
}
