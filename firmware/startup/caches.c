/* caches.c: turns on the core's own caches where it has any (Cortex-M7, Cortex-M55).
 *
 * ARMv7-M Architecture Reference Manual (DDI 0403): B3.2 (CCR), B4.5 (CLIDR, CCSIDR), B2.2.7
 * (maintenance). Their contents are unknown after reset: each is invalidated first.
 */
#include "platform.h"

void caches_start(void);

#ifdef __ARM_ARCH_6M__
void caches_start(void)
{
}
#else

#define SCB_CCR 0xE000ED14u
#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)
#define SCB_CLIDR 0xE000ED78u
#define CLIDR_LEVEL_1_MASK 7u
#define CLIDR_SEPARATE 3u
#define SCB_CCSIDR 0xE000ED80u
#define SCB_CSSELR 0xE000ED84u
#define CSSELR_LEVEL_1_DATA 0u
#define SCB_ICIALLU 0xE000EF50u
#define SCB_DCISW 0xE000EF60u

static void synchronize(void)
{
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* DCISW takes the set above the bits of a line, and the way in the topmost bits (DDI 0403, B2.2.7). */
static void invalidate_data_cache(void)
{
    *reg32(SCB_CSSELR) = CSSELR_LEVEL_1_DATA;
    synchronize();
    const uint32_t size = *reg32(SCB_CCSIDR);
    const uint32_t set_shift = (size & 7u) + 4u;
    const uint32_t way_max = (size >> 3) & 0x3FFu;
    const uint32_t set_max = (size >> 13) & 0x7FFFu;
    uint32_t way_shift = 32u;
    for (uint32_t rest = way_max; rest > 0u; rest >>= 1) {
        way_shift--;
    }
    for (uint32_t set = 0u; set <= set_max; set++) {
        for (uint32_t way = 1u; way <= way_max; way++) {
            *reg32(SCB_DCISW) = (way << way_shift) | (set << set_shift);
        }
        *reg32(SCB_DCISW) = set << set_shift; /* way 0; there may be no other, and no shift by 32 */
    }
}

void caches_start(void)
{
    if ((*reg32(SCB_CLIDR) & CLIDR_LEVEL_1_MASK) != CLIDR_SEPARATE) {
        return;
    }
    *reg32(SCB_ICIALLU) = 0u;
    invalidate_data_cache();
    synchronize();
    *reg32(SCB_CCR) |= CCR_IC | CCR_DC;
    synchronize();
}
#endif
