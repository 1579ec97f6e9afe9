"""Running the emitted C: on the host, in QEMU, on a board; the same inputs, the same outputs."""
