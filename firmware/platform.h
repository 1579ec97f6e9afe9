/* platform.h: what the portable part of the image asks of a chip.
 *
 * mcu/<family>.c       platform_start
 * uart/<driver>.c      uart_*
 * cycles.c             cycles_*
 * startup/cortex_m.c   platform_reset, stack_*
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t core_hz;
    uint32_t uart_hz; /* clock of the serial port's peripheral */
    uint8_t source;   /* CLOCK_SOURCE_* of protocol_messages.h */
} platform_clock;

/* Starts the fastest clock that comes up, the serial port's clock and its pins. Never hangs: each
 * wait is bounded, and what did not come up shows in the returned clock. */
platform_clock platform_start(void);

/* Restarts the processor; does not return. */
void platform_reset(void);

/* 8 data bits, no parity, 1 stop bit. */
void uart_start(uint32_t uart_hz, uint32_t baud);

/* True when a byte had arrived; it is then in *byte. */
bool uart_read(uint8_t *byte);

/* Sends one byte, or drops it when the sender stays busy: the frame's CRC tells the host. */
void uart_write(uint8_t byte);

/* Waits, bounded, until the last byte has left. */
void uart_drain(void);

/* Starts the debug unit's cycle counter, or the system timer where that does not count.
 * Returns CYCLE_SOURCE_* of protocol_messages.h. */
uint8_t cycles_start(void);

/* Core cycles so far, modulo 2^32. */
uint32_t cycles_now(void);

/* Bytes of stack used at most since reset, and the bytes set aside for it. */
uint32_t stack_used_bytes(void);
uint32_t stack_size_bytes(void);

/* RAM behind everything that the linker placed, and its size: nobody else uses it. */
uint8_t *spare_ram(uint32_t *bytes);

static inline volatile uint32_t *reg32(uint32_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

#endif
