/* rp2040_boot.c: second stage of the RP2040's boot. Sections are those of the RP2040 Datasheet.
 *
 * The boot ROM copies the first 256 bytes of the flash to RAM and calls them there, if their last word
 * is the CRC-32 of the others (2.8.1.3); mcugen computes it after linking. This stage makes the flash
 * readable at 0x10000000 with the plain read command (03h) that every serial flash has (4.10.11), and
 * starts the image behind it. It is one function that calls nothing, so that it runs anywhere.
 */
#include "platform.h"
#include "target.h"

#define VECTORS (FLASH_BASE + 256u)

/* 4.10.13 */
#define SSI_BASE 0x18000000u
#define SSI_CTRLR0 (SSI_BASE + 0x00u)
#define SSI_CTRLR1 (SSI_BASE + 0x04u)
#define SSI_SSIENR (SSI_BASE + 0x08u)
#define SSI_BAUDR (SSI_BASE + 0x14u)
#define SSI_SPI_CTRLR0 (SSI_BASE + 0xF4u)
#define CTRLR0_READ_EEPROM (3u << 8)         /* send command and address, then read */
#define CTRLR0_FRAMES_OF_32_BITS (31u << 16)
#define SPI_CTRLR0_ADDRESS_24_BITS (6u << 2) /* in units of 4 bits */
#define SPI_CTRLR0_COMMAND_8_BITS (2u << 8)
#define SPI_CTRLR0_READ (0x03u << 24)

#define SCB_VTOR 0xE000ED08u

void boot_second_stage(void);

__attribute__((section(".boot"), used)) void boot_second_stage(void)
{
    *reg32(SSI_SSIENR) = 0u;
    *reg32(SSI_BAUDR) = CLOCK_FLASH_DIVIDER;
    *reg32(SSI_CTRLR0) = CTRLR0_READ_EEPROM | CTRLR0_FRAMES_OF_32_BITS;
    *reg32(SSI_SPI_CTRLR0) = SPI_CTRLR0_READ | SPI_CTRLR0_COMMAND_8_BITS | SPI_CTRLR0_ADDRESS_24_BITS;
    *reg32(SSI_CTRLR1) = 0u; /* one frame a read */
    *reg32(SSI_SSIENR) = 1u;
    *reg32(SCB_VTOR) = VECTORS;
    const uint32_t stack = *reg32(VECTORS);
    const uint32_t entry = *reg32(VECTORS + 4u);
    __asm__ volatile("msr msp, %0\n\tbx %1" ::"r"(stack), "r"(entry));
}
