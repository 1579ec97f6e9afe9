/* stm32.h: what the STM32 families share: peripheral clocks, prescaler codes, and the pins of all
 * but the STM32F1.
 *
 * RM0390 (STM32F446) is cited; the other families' manuals describe the same registers.
 */
#ifndef STM32_H
#define STM32_H

#include "registers.h"

/* RM0390, 7.4 */
#define GPIO_MODER 0x00u
#define GPIO_PUPDR 0x0Cu
#define GPIO_AFR(pin) (0x20u + 4u * ((pin) / 8u))
#define MODE_ALTERNATE 2u
#define PULL_UP 1u

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

/* Pin `pin` of the port at `gpio`, whose clock runs, becomes the serial port's, pulled up. */
static inline void connect_pin(uint32_t gpio, uint32_t pin, uint32_t function)
{
    const uint32_t nibble = 4u * (pin % 8u);
    change_bits(gpio + GPIO_AFR(pin), 0xFu << nibble, function << nibble);
    change_bits(gpio + GPIO_PUPDR, 3u << (2u * pin), PULL_UP << (2u * pin));
    change_bits(gpio + GPIO_MODER, 3u << (2u * pin), MODE_ALTERNATE << (2u * pin));
}

#endif
