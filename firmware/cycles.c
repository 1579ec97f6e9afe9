/* cycles.c: core cycles, from the debug unit where it counts, else from the system timer.
 *
 * ARMv7-M Architecture Reference Manual (DDI 0403): B3.3 system timer, C1.6.5 DEMCR, C1.8 DWT. The
 * lock is CoreSight's; Cortex-M7 starts with it closed, others ignore the key.
 */
#include "platform.h"
#include "protocol_messages.h"

#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2)
#define SYST_MAX 0x00FFFFFFu
#define SYST_BITS 24

/* A core reloads within cycles, an emulator on a busy machine within milliseconds. */
#define RELOAD_POLLS_MAX 100000u

#define DEMCR 0xE000EDFCu
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL 0xE0001000u
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u
#define LAR_KEY 0xC5ACCE55u

void systick_handler(void);

static volatile uint32_t timer_wraps;
static uint8_t source;

void systick_handler(void)
{
    timer_wraps++;
}

#ifdef __ARM_ARCH_6M__
static bool debug_counter_counts(void)
{
    return false; /* Armv6-M has none (DDI 0419, C1.8) */
}
#else
/* The counter is optional, and absent in emulators: only its counting proves it. */
static bool debug_counter_counts(void)
{
    *reg32(DEMCR) |= DEMCR_TRCENA;
    *reg32(DWT_LAR) = LAR_KEY;
    *reg32(DWT_CYCCNT) = 0u;
    *reg32(DWT_CTRL) |= DWT_CTRL_CYCCNTENA;
    const uint32_t before = *reg32(DWT_CYCCNT);
    for (uint32_t turn = 0u; turn < 16u; turn++) {
        __asm__ volatile("nop");
    }
    return *reg32(DWT_CYCCNT) != before;
}
#endif

/* Until its first reload the counter stands at 0, which reads as the end of a round. */
static void start_timer(void)
{
    timer_wraps = 0u;
    *reg32(SYST_RVR) = SYST_MAX;
    *reg32(SYST_CVR) = 0u;
    *reg32(SYST_CSR) = SYST_CSR_CLKSOURCE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
    for (uint32_t poll = 0u; poll < RELOAD_POLLS_MAX; poll++) {
        if (*reg32(SYST_CVR) != 0u) {
            break;
        }
    }
}

/* A wrap between the two reads of the count of wraps shows in it, and the read is made again. The
 * barrier gives an interrupt that is pending its turn before the second. */
static uint32_t timer_now(void)
{
    uint32_t wraps = timer_wraps;
    for (;;) {
        const uint32_t down = *reg32(SYST_CVR);
        __asm__ volatile("isb" ::: "memory");
        const uint32_t wraps_after = timer_wraps;
        if (wraps_after == wraps) {
            return (wraps << SYST_BITS) + (SYST_MAX - down);
        }
        wraps = wraps_after;
    }
}

uint8_t cycles_start(void)
{
    source = CYCLE_SOURCE_SYSTICK;
    if (debug_counter_counts()) {
        source = CYCLE_SOURCE_DWT;
    } else {
        start_timer();
    }
    return source;
}

uint32_t cycles_now(void)
{
    if (source == CYCLE_SOURCE_DWT) {
        return *reg32(DWT_CYCCNT);
    }
    return timer_now();
}
