/* registers.h: bounded waits and bit changes that the set-up of every chip is made of. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include "platform.h"

/* A poll takes more than 4 cycles, so that this is more than 10 ms at 16 MHz and more than 3 ms at
 * 64 MHz: longer than any crystal, PLL or regulator of these chips takes by its data sheet. */
#define POLLS_MAX 50000u

static inline bool wait_for(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t poll = 0u; poll < POLLS_MAX; poll++) {
        if ((*reg32(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

/* The bits of `mask` become `value`, which lies within it. */
static inline void change_bits(uint32_t address, uint32_t mask, uint32_t value)
{
    *reg32(address) = (*reg32(address) & ~mask) | value;
}

#endif
