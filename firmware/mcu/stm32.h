/* stm32.h: what the STM32 families share: peripheral clocks and prescaler codes.
 *
 * RM0390 (STM32F446) is cited; the other families' manuals describe the same registers.
 */
#ifndef STM32_H
#define STM32_H

#include "registers.h"

/* A peripheral answers two cycles after its clock was enabled (errata of the STM32F446, "delay
 * after an RCC peripheral clock enabling"); the read takes them. */
static inline void enable_clock(uint32_t enable_register, uint32_t bit)
{
    *reg32(enable_register) |= 1u << bit;
    (void)*reg32(enable_register);
}

/* A division by 2^n is coded as `first` + n - 1, and by 1 as 0 (RM0390, 6.3.3): `first` is 4 for
 * the fields of 3 bits and 8 for those of 4 bits. */
static inline uint32_t prescaler(uint32_t divider, uint32_t first)
{
    uint32_t code = 0u;
    for (uint32_t rest = divider; rest > 1u; rest /= 2u) {
        code = (code == 0u) ? first : code + 1u;
    }
    return code;
}

#endif
