/* stm32_pins.h: the serial port's pins of all STM32 families but the STM32F1.
 *
 * RM0390 (STM32F446) is cited; the other families' manuals describe the same registers.
 */
#ifndef STM32_PINS_H
#define STM32_PINS_H

#include "stm32.h"
#include "target.h"

/* RM0390, 7.4 */
#define GPIO_STRIDE 0x400u
#define GPIO_MODER 0x00u
#define GPIO_PUPDR 0x0Cu
#define GPIO_AFR(pin) (0x20u + 4u * ((pin) / 8u))
#define MODE_ALTERNATE 2u
#define PULL_UP 1u

/* Pin `pin` of the port at `gpio`, whose clock runs, becomes the serial port's, pulled up. */
static inline void connect_pin(uint32_t gpio, uint32_t pin, uint32_t function)
{
    const uint32_t nibble = 4u * (pin % 8u);
    change_bits(gpio + GPIO_AFR(pin), 0xFu << nibble, function << nibble);
    change_bits(gpio + GPIO_PUPDR, 3u << (2u * pin), PULL_UP << (2u * pin));
    change_bits(gpio + GPIO_MODER, 3u << (2u * pin), MODE_ALTERNATE << (2u * pin));
}

/* Both pins of the serial port, from the first port's address on and the register that enables
 * ports by their number. */
static inline void connect_serial_port(uint32_t enable_register, uint32_t ports)
{
    enable_clock(enable_register, UART_TX_PORT);
    enable_clock(enable_register, UART_RX_PORT);
    connect_pin(ports + GPIO_STRIDE * UART_TX_PORT, UART_TX_PIN, UART_ALTERNATE_FUNCTION);
    connect_pin(ports + GPIO_STRIDE * UART_RX_PORT, UART_RX_PIN, UART_ALTERNATE_FUNCTION);
}

#endif
