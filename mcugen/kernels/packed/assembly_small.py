"""The loop of packed multiplies as assembly for Armv6-M, by MULS: a word of the input, six weights.

r0 and r1 point at input and weights, r8 to r12 and lr hold the accumulators. The stack is that of
`assembly`, and holds two constants: loads reach no farther than 1 KB. Words of weights are used up
by their products.
"""

from mcugen.kernels.packed.sums import FLAG_BITS, Sums

_SUMS, _INPUT, _PIECES, _BLOCKS, _END, _NEXT, _PIECE, _START, _CLEAR, _LENGTH = range(0, 40, 4)
_ACCUMULATORS = ("r8", "r9", "r10", "r11", "r12", "lr")


def lines(sums: Sums) -> tuple[str, ...]:
    """The function's body: sums, input, pieces and weights in r0 to r3."""
    several = sums.schedule.segments > 1
    return (
        "push {r4-r7, lr}",
        *(f"mov r{low}, r{low + 4}" for low in range(4, 8)),
        "push {r4-r7}",
        f"sub sp, #{_LENGTH + 4}",
        *(f"str r{i}, [sp, #{place}]" for i, place in enumerate((_SUMS, _INPUT, _PIECES))),
        *_kept(sums.blocks, _BLOCKS),
        *_kept(sums.start[0], _CLEAR),
        *_kept(4 * sums.schedule.piece, _LENGTH),
        "movs r1, r3",
        "b 1f",
        ".ltorg",
        "1:",
        f"ldr r2, [sp, #{_PIECES}]",
        f"str r1, [sp, #{_START}]",
        f"str r2, [sp, #{_NEXT}]",
        f"adds r1, #{4 * sums.outputs}",
        "2:",
        f"ldr r4, [sp, #{_CLEAR}]",
        *(f"mov {register}, r4" for register in _ACCUMULATORS),
        "3:",
        *_piece(sums),
        *_flag(31, "3b"),
        f"ldr r2, [sp, #{_SUMS}]",
        f"ldr r3, [sp, #{_START}]",
        *(["cmp r3, #0", "bne 7f", "b 8f", "7:"] if several else []),
        *_taken(sums, first=True),
        *_gone(several),
        *([*_taken(sums, first=False), *_flag(30, "2b")] if several else []),
        f"str r2, [sp, #{_SUMS}]",
        f"ldr r3, [sp, #{_BLOCKS}]",
        "subs r3, #1",
        f"str r3, [sp, #{_BLOCKS}]",
        "beq 9f",
        "b 1b",
        "9:",
        f"add sp, #{_LENGTH + 4}",
        "pop {r4-r7}",
        *(f"mov r{low + 4}, r{low}" for low in range(4, 8)),
        "pop {r4-r7, pc}",
    )


def _kept(value: int, place: int) -> list[str]:
    return [f"ldr r4, ={value}", f"str r4, [sp, #{place}]"]


def _flag(shift: int, back: str) -> list[str]:
    """Goes back unless the flag of this piece is set that a shift brings to the top."""
    return [f"ldr r7, [sp, #{_PIECE}]", f"lsls r7, r7, #{shift}", "bmi 7f", f"b {back}", "7:"]


def _gone(several: bool) -> list[str]:
    """The starts were taken; behind the first of several segments comes another."""
    if not several:
        return []
    return ["movs r3, #0", f"str r3, [sp, #{_START}]", "b 2b", "8:"]


def _piece(sums: Sums) -> list[str]:
    made = [
        f"ldr r2, [sp, #{_NEXT}]",
        f"ldr r3, [sp, #{_INPUT}]",
        "ldm r2!, {r4}",
        f"str r2, [sp, #{_NEXT}]",
        f"str r4, [sp, #{_PIECE}]",
        f"lsrs r4, r4, #{FLAG_BITS}",
        "adds r0, r3, r4",
    ]
    if sums.turns > 1:
        made += [f"ldr r4, [sp, #{_LENGTH}]", "adds r4, r4, r0", f"str r4, [sp, #{_END}]"]
        made.append("4:")
    made += _step() * sums.unrolled
    if sums.turns > 1:
        made += [f"ldr r7, [sp, #{_END}]", "cmp r0, r7", "beq 6f", "b 4b", "6:"]
    return made


def _step() -> list[str]:
    made = ["ldm r0!, {r5}"]
    for half in (_ACCUMULATORS[:3], _ACCUMULATORS[3:]):
        made.append("ldm r1!, {r2, r3, r4}")
        for word, accumulator in zip(("r2", "r3", "r4"), half, strict=True):
            made += [f"muls {word}, r5, {word}", f"add {accumulator}, {word}"]
    return made


def _taken(sums: Sums, *, first: bool) -> list[str]:
    """Limbs become sums, at the output's start, or are added to them."""
    made = []
    for output in range(sums.outputs):
        made += ["ldm r3!, {r4}"] if first else []
        for part in sums.parts(output):
            made += [
                *(["ldr r4, [r2]"] if not first else []),
                f"mov r5, {_ACCUMULATORS[part.weight]}",
                f"lsls r5, r5, #{32 - part.shift - part.bits}",
                f"lsrs r5, r5, #{32 - part.bits}",
                "adds r5, r5, r4",
                "stm r2!, {r5}",
            ]
    return made
