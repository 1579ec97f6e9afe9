/* cortex_m.c: vector table, reset and stack measurement for every Cortex-M.
 *
 * Only the core's own 16 vectors are there: the image enables no peripheral interrupt. The stack
 * lies at the bottom of its memory, so that an overflow faults instead of overwriting data.
 */
#include "platform.h"

#define PAINT 0xC5C5C5C5u

/* Set by linker/cortex_m.ld.j2. */
extern uint32_t stack_bottom[];
extern uint32_t stack_top[];
extern uint32_t data_start[];
extern uint32_t data_end[];
extern const uint32_t data_image[];
extern uint32_t zero_start[];
extern uint32_t zero_end[];
extern uint32_t arena_start[];
extern uint32_t arena_end[];
extern uint32_t spare_start[];
extern uint32_t spare_end[];

/* ARMv7-M Architecture Reference Manual (DDI 0403), B3.2. Armv6-M without VTOR ignores the write. */
#define SCB_VTOR 0xE000ED08u
#define SCB_AIRCR 0xE000ED0Cu
#define AIRCR_SYSRESETREQ 0x05FA0004u

int main(void);
void caches_start(void); /* caches.c */
void reset_handler(void);
void fault_handler(void);
void systick_handler(void);

/* ARMv7-M Architecture Reference Manual (DDI 0403), B1.5.3: the initial stack, then exceptions 1 to
 * 15. Those that are missing here are reserved. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    [0] = (uintptr_t)stack_top,
    [1] = (uintptr_t)reset_handler,
    [2] = (uintptr_t)fault_handler,  /* NMI */
    [3] = (uintptr_t)fault_handler,  /* hard fault */
    [4] = (uintptr_t)fault_handler,  /* memory management */
    [5] = (uintptr_t)fault_handler,  /* bus fault */
    [6] = (uintptr_t)fault_handler,  /* usage fault */
    [11] = (uintptr_t)fault_handler, /* SVC */
    [12] = (uintptr_t)fault_handler, /* debug monitor */
    [14] = (uintptr_t)fault_handler, /* PendSV */
    [15] = (uintptr_t)systick_handler,
};

static inline uint32_t stack_pointer(void)
{
    uint32_t value;
    __asm__ volatile("mov %0, sp" : "=r"(value));
    return value;
}

/* Inlined into the reset handler: it has no frame of its own to paint over. */
static inline void paint_stack(void)
{
    const uint32_t end = stack_pointer();
    for (uint32_t at = (uint32_t)stack_bottom; at < end; at += 4u) {
        *reg32(at) = PAINT;
    }
}

uint32_t stack_size_bytes(void)
{
    return (uint32_t)stack_top - (uint32_t)stack_bottom;
}

uint32_t stack_used_bytes(void)
{
    const uint32_t top = (uint32_t)stack_top;
    uint32_t at = (uint32_t)stack_bottom;
    while (at < top) {
        if (*reg32(at) != PAINT) {
            break;
        }
        at += 4u;
    }
    return top - at;
}

uint8_t *spare_ram(uint32_t *bytes)
{
    *bytes = (uint32_t)spare_end - (uint32_t)spare_start;
    return (uint8_t *)spare_start;
}

static void clear(uint32_t from, uint32_t end)
{
    for (uint32_t at = from; at < end; at += 4u) {
        *reg32(at) = 0u;
    }
}

void reset_handler(void)
{
    paint_stack();
    uint32_t from = (uint32_t)data_image;
    for (uint32_t to = (uint32_t)data_start; to < (uint32_t)data_end; to += 4u) {
        *reg32(to) = *reg32(from);
        from += 4u;
    }
    clear((uint32_t)zero_start, (uint32_t)zero_end);
    clear((uint32_t)arena_start, (uint32_t)arena_end);
    *reg32(SCB_VTOR) = (uint32_t)vectors; /* also when a boot loader or debugger started the image */
    caches_start();
    (void)main();
    platform_reset();
}

void platform_reset(void)
{
    __asm__ volatile("dsb" ::: "memory");
    *reg32(SCB_AIRCR) = AIRCR_SYSRESETREQ;
    for (;;) {
    }
}

/* A fault loses the result, not the board: after the restart it refuses to run without an input, so
 * that the host notices. */
void fault_handler(void)
{
    platform_reset();
}
