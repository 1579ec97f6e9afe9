"""Gates of numbers of 16 bits (see `windows`) as assembly.

With the DSP extension nearly every gate is one instruction. Without, words of numbers and of
weights are those of `mcugen.kernels.crossed`: x0 + 2^16·x1 meets w1 + 2^16·w0.
"""

from dataclasses import dataclass

from mcugen.kernels.straight.gates import Gate, Kind

#: The register that crossed products are formed in, which holds no value of the network.
KEPT = "lr"


@dataclass(frozen=True)
class Bytes:
    """How bytes come in and go out: `signed` is int8, else uint8; `late` as `Windows` says it."""

    signed: bool
    signed_out: bool
    late: int

    def lines(self, gate: Gate, result: str, operands: tuple[str, ...]) -> list[str]:
        """`gate` as instructions; what crossed sums are finished with overwrites the sum."""
        found = self._crossed(gate, result, operands) if self.late else []
        return found or [self._single(gate, result, operands)]

    def _crossed(self, gate: Gate, result: str, operands: tuple[str, ...]) -> list[str]:
        """Those that take several instructions without the DSP extension."""
        match gate.kind:
            case Kind.PAIR:
                numbers, weights, total = operands
                product = f"mul {KEPT}, {numbers}, {weights}"
                return [product, f"asrs {KEPT}, {KEPT}, #16", f"adc {result}, {total}, {KEPT}"]
            case Kind.NUMBER:
                place = f"{result}, [{operands[0]}, #{gate.index}]"
                if self.signed:
                    return [f"ldrsb {place}"]
                return [f"ldrb {place}", f"sub {result}, {result}, #128"]
            case Kind.JOINED:
                return [f"add {result}, {operands[0]}, {operands[1]}, lsl #16"]
            case Kind.TIMES:
                return [f"mla {result}, {', '.join(operands)}"]
            case Kind.SCALE:
                total, multiplier, addend = operands
                return [*self._long(total, multiplier), f"add {result}, {total}, {addend}"]
            case Kind.ROUND:
                total, multiplier = operands
                rounded = f"lsls {KEPT}, {KEPT}, #1", f"adc {result}, {total}, #0"
                return [*self._long(total, multiplier), *rounded]
        return []

    def _long(self, total: str, multiplier: str) -> list[str]:
        """The upper half of the product in place of the sum, the lower one beside."""
        shifted = f"lsl {total}, {total}, #{self.late}"
        return [shifted, f"smull {KEPT}, {total}, {total}, {multiplier}"]

    def _single(self, gate: Gate, result: str, operands: tuple[str, ...]) -> str:
        extend = "sxtb16" if self.signed else "uxtb16"
        match gate.kind:
            case Kind.BYTES:
                return f"ldr {result}, [{operands[0]}, #{gate.index}]"
            case Kind.EVEN:
                return f"{extend} {result}, {operands[0]}"
            case Kind.ODD:
                return f"{extend} {result}, {operands[0]}, ror #8"
            case Kind.PAIR:
                return f"smlad {result}, {', '.join(operands)}"
            case Kind.SINGLE:
                halves = "bt"[gate.index] + "bt"[gate.width]
                return f"smla{halves} {result}, {', '.join(operands)}"
            case Kind.SCALE:
                return f"smmla {result}, {', '.join(operands)}"
            case Kind.ROUND:
                return f"smmulr {result}, {', '.join(operands)}"
            case Kind.LOWER:
                return f"add {result}, {operands[0]}, {operands[0]}, asr #31"
            case Kind.PLUS:
                return f"add {result}, {', '.join(operands)}"
            case Kind.SHIFT:
                return f"asr {result}, {', '.join(operands)}"
            case Kind.SATURATE:
                shift = f", asr #{gate.index}" if gate.index else ""
                saturate = "ssat" if self.signed_out else "usat"
                return f"{saturate} {result}, #8, {operands[0]}{shift}"
        assert gate.kind is Kind.PUT
        return f"strb {operands[0]}, [{operands[1]}, #{gate.index}]"
