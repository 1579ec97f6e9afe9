/* main.c: start the board, then answer the serial line for ever. */
#include "mlperf.h"
#include "platform.h"
#include "protocol.h"
#include "session.h"
#include "target.h"

static void serve_byte(uint8_t byte)
{
    if (protocol_receive(byte)) {
        mlperf_stop();
    } else {
        mlperf_receive(byte);
    }
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
    mlperf_start(clock);
    for (;;) {
        uint8_t byte;
        mlperf_tick();
        if (uart_read(&byte)) {
            serve_byte(byte);
        }
    }
}
