"""The loop of packed multiplies as assembly for Armv7E-M and later (Thumb-2, GNU syntax).

r0 and r1 point at input and weights, r4 to r11 hold four accumulators of 64 bits
or eight of 32, the other registers words.
On the stack: sums, input, pieces, blocks left, where a loop ends, the next piece, this piece, and
the block's starts, which are gone once they were taken.
"""

from mcugen.kernels.packed.packing import Multiply
from mcugen.kernels.packed.sums import FLAG_BITS, Part, Sums

_SUMS, _INPUT, _PIECES, _BLOCKS, _END, _NEXT, _PIECE, _START = range(0, 32, 4)


def lines(sums: Sums) -> tuple[str, ...]:
    """The function's body: sums, input, pieces and weights in r0 to r3."""
    several = sums.schedule.segments > 1
    return (
        "push {r4-r11, lr}",
        f"sub sp, #{_START + 4}",
        f"strd r0, r1, [sp, #{_SUMS}]",
        *_load("r4", sums.blocks),
        f"strd r2, r4, [sp, #{_PIECES}]",
        "mov r1, r3",
        "1:",
        f"ldr r2, [sp, #{_PIECES}]",
        f"str r1, [sp, #{_START}]",
        f"str r2, [sp, #{_NEXT}]",
        f"add r1, #{4 * sums.outputs}",
        "2:",
        *_clear(sums),
        "3:",
        *_piece(sums),
        f"ldr r2, [sp, #{_PIECE}]",
        "lsls r3, r2, #31",
        "beq.w 3b",
        f"ldr lr, [sp, #{_SUMS}]",
        f"ldr r0, [sp, #{_START}]",
        *(["cmp r0, #0", "beq.w 5f"] if several else []),
        *_first(sums),
        *(_again(sums) if several else []),
        f"ldr r2, [sp, #{_SUMS}]",
        f"ldr r3, [sp, #{_BLOCKS}]",
        f"addw r2, r2, #{4 * sums.outputs * sums.positions}",
        "subs r3, #1",
        f"str r2, [sp, #{_SUMS}]",
        f"str r3, [sp, #{_BLOCKS}]",
        "bne.w 1b",
        f"add sp, #{_START + 4}",
        "pop {r4-r11, pc}",
    )


def _load(register: str, value: int) -> list[str]:
    high = [f"movt {register}, #{value >> 16}"] if value >> 16 else []
    return [f"movw {register}, #{value & 0xFFFF}", *high]


def _accumulator(sums: Sums, x: int, w: int) -> tuple[str, str]:
    """Its low and high word; where there is one, twice the same."""
    index = w * sums.inputs + x
    if sums.packing.accumulator_bits == 32:
        return f"r{4 + index}", f"r{4 + index}"
    return f"r{4 + 2 * index}", f"r{5 + 2 * index}"


def _clear(sums: Sums) -> list[str]:
    low, high = sums.start
    if sums.packing.accumulator_bits == 32:
        return [*_load("r4", low), *(f"mov r{register}, r4" for register in range(5, 12))]
    copies = [f"mov r{register}, r{4 + register % 2}" for register in range(6, 12)]
    return [*_load("r4", low), *_load("r5", high), *copies]


def _piece(sums: Sums) -> list[str]:
    made = [
        f"ldr r2, [sp, #{_NEXT}]",
        f"ldr r3, [sp, #{_INPUT}]",
        "ldr r12, [r2], #4",
        f"add r0, r3, r12, lsr #{FLAG_BITS}",
        f"str r2, [sp, #{_NEXT}]",
        f"str r12, [sp, #{_PIECE}]",
    ]
    if sums.turns > 1:
        made += [*_load("r3", 4 * sums.schedule.piece), "add r3, r0", f"str r3, [sp, #{_END}]"]
        made.append("4:")
    made += _step(sums) * sums.unrolled
    if sums.turns > 1:
        made += [f"ldr r2, [sp, #{_END}]", "cmp r0, r2", "bne.w 4b"]
    return made


def _step(sums: Sums) -> list[str]:
    """Loads together: one behind another takes one cycle."""
    far = [f"ldr r3, [r0, #{4 * sums.distance}]"] if sums.inputs == 2 else []
    made = [*far, "ldr r2, [r0], #4"]
    words = ("r12", "lr") if sums.inputs == 2 else ("r3", "r12", "lr")
    for first in range(0, sums.weights, len(words)):
        some = list(zip(words, range(first, sums.weights), strict=False))
        made += [f"ldr {word}, [r1], #4" for word, _ in some]
        made += [_multiply(sums, x, w, word) for word, w in some for x in range(sums.inputs)]
    return made


def _multiply(sums: Sums, x: int, w: int, word: str) -> str:
    low, high = _accumulator(sums, x, w)
    if sums.packing.by is Multiply.SINGLE:
        return f"mla {low}, r{2 + x}, {word}, {low}"
    if sums.packing.paired:
        return f"smlad {low}, r{2 + x}, {word}, {low}"
    return f"smlal {low}, {high}, r{2 + x}, {word}"


def _first(sums: Sums) -> list[str]:
    """Sums begin: at what was carried, else at the output's start."""
    made = []
    for output in range(sums.outputs):
        made.append(f"ldr r12, [r0, #{4 * output}]")
        for position in range(sums.positions):
            carried = position < sums.carried
            if carried:
                made.append(f"ldr r2, [lr, #{_place(sums, output, sums.tile + position)}]")
            made += _sum(sums, output, position, "r2" if carried else "r12")
    if sums.schedule.segments > 1:
        made += ["mov r2, #0", f"str r2, [sp, #{_START}]", "b.w 2b"]
    return made


def _again(sums: Sums) -> list[str]:
    """Sums go on; to the next piece, unless this one was the last."""
    made = ["5:"]
    for output in range(sums.outputs):
        for position in range(sums.positions):
            made.append(f"ldr r2, [lr, #{_place(sums, output, position)}]")
            made += _sum(sums, output, position, "r2")
    return [*made, f"ldr r2, [sp, #{_PIECE}]", "lsls r2, r2, #30", "bpl.w 2b"]


def _place(sums: Sums, output: int, position: int) -> int:
    return 4 * (output * sums.positions + position)


def _sum(sums: Sums, output: int, position: int, first: str) -> list[str]:
    made = []
    for part in sums.parts(output):
        if part.position == position:
            made += _add(sums, part, "r2", first)
            first = "r2"
    return [*made, f"str r2, [lr, #{_place(sums, output, position)}]"]


def _add(sums: Sums, part: Part, to: str, first: str) -> list[str]:
    """`to` = `first` + a limb, which may lie in both words of its accumulator."""
    low, high = _accumulator(sums, part.input, part.weight)
    bits, shift = part.bits, part.shift
    if shift >= 32 or shift + bits <= 32:
        word, shift = (high, shift - 32) if shift >= 32 else (low, shift)
        if shift + bits == 32:
            return [f"add {to}, {first}, {word}" + (f", lsr #{shift}" if shift else "")]
        return [f"ubfx r3, {word}, #{shift}, #{bits}", f"add {to}, {first}, r3"]
    lower = 32 - shift
    return [
        f"add {to}, {first}, {low}, lsr #{shift}",
        f"ubfx r3, {high}, #0, #{bits - lower}",
        f"add {to}, {to}, r3, lsl #{lower}",
    ]
