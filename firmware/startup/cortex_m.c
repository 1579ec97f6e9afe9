/* cortex_m.c: vector table, reset and stack measurement for every Cortex-M.
 *
 * Only the core's own 16 vectors are there: the image enables no peripheral interrupt. The stack
 * lies at the bottom of RAM, so that an overflow faults instead of overwriting data.
 */
#include "platform.h"

#define PAINT 0xC5C5C5C5u

/* Set by linker/cortex_m.ld. */
extern uint32_t stack_bottom[];
extern uint32_t stack_top[];
extern uint32_t data_start[];
extern uint32_t data_end[];
extern const uint32_t data_image[];
extern uint32_t zero_start[];
extern uint32_t zero_end[];

int main(void);
void reset_handler(void);
void fault_handler(void);
void systick_handler(void);

typedef void (*vector)(void);

typedef struct {
    uint32_t *stack;
    vector handlers[15];
} vector_table;

/* ARMv7-M Architecture Reference Manual (DDI 0403), B1.5.3: exceptions 1 to 15. */
__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    stack_top,
    {
        reset_handler, /* 1 reset */
        fault_handler, /* 2 NMI */
        fault_handler, /* 3 hard fault */
        fault_handler, /* 4 memory management */
        fault_handler, /* 5 bus fault */
        fault_handler, /* 6 usage fault */
        0, 0, 0, 0,
        fault_handler, /* 11 SVC */
        fault_handler, /* 12 debug monitor */
        0,
        fault_handler,   /* 14 PendSV */
        systick_handler, /* 15 */
    },
};

static void paint_stack(void)
{
    uint32_t *end;
    __asm__ volatile("mov %0, sp" : "=r"(end));
    for (uint32_t *word = stack_bottom; word < end; word++) {
        *(volatile uint32_t *)word = PAINT;
    }
}

uint32_t stack_size_bytes(void)
{
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)stack_bottom);
}

uint32_t stack_used_bytes(void)
{
    const uint32_t *word = stack_bottom;
    while (word < stack_top) {
        if (*word != PAINT) {
            break;
        }
        word++;
    }
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)word);
}

void reset_handler(void)
{
    paint_stack();
    const uint32_t *from = data_image;
    for (uint32_t *to = data_start; to < data_end; to++) {
        *to = *from;
        from++;
    }
    for (uint32_t *to = zero_start; to < zero_end; to++) {
        *to = 0u;
    }
    (void)main();
    platform_reset();
}

/* A fault loses the result, not the board: after the restart it refuses to run without an input, so
 * that the host notices. */
void fault_handler(void)
{
    platform_reset();
}
