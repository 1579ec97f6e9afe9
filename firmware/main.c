/* main.c: start the board, then answer the serial line for ever. */
#include "platform.h"
#include "protocol.h"
#include "session.h"
#include "target.h"

static void serve_byte(void)
{
    uint8_t byte;
    if (!uart_read(&byte)) {
        return;
    }
    protocol_receive(byte);
    if (session_wants_reset() != 0u) {
        uart_drain();
        platform_reset();
    }
}

int main(void)
{
    const platform_clock clock = platform_start();
    const uint8_t cycle_source = cycles_start();
    uart_start(clock.uart_hz, UART_BAUD);
    session_start(clock, cycle_source);
    protocol_start();
    for (;;) {
        serve_byte();
    }
}
