/* mps.c: the FPGA images of Arm's MPS2 and MPS3 boards. One oscillator drives the core and the serial
 * port from the start, and the port's pins are its own: there is nothing to set up.
 */
#include "platform.h"
#include "protocol_messages.h"
#include "target.h"

platform_clock platform_start(void)
{
    const platform_clock clock = {CLOCK_HZ, CLOCK_HZ, CLOCK_SOURCE_EXTERNAL};
    return clock;
}
