"""Many models in one image for one core: a single run of the compiler, a single emulator."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcugen import tools
from mcugen.build.gcc import ARM_GCC, WARNINGS
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import Manifest
from mcugen.errors import fail
from mcugen.profile.emulator import Emulator
from mcugen.resources import data_root
from mcugen.target.cores import Core

_GUARD = bytes([0xA5]) * 64
_CONTEXT = "fuzz_context"


class Image:
    """The models in `root`, one folder each, on one emulated core."""

    def __init__(self, root: Path, manifests: Sequence[Manifest], core: Core) -> None:
        """Compile and load.

        Raises:
            McugenError: C that does not compile without a warning, or an instruction that the
                core lacks.
        """
        elf = root / f"{core.name}.elf"
        source = root / f"{core.name}.c"
        source.write_text(_unit(manifests))
        tools.run_checked(_argv(core, source, elf, f"{manifests[0].name}_run"))
        self.emulator = Emulator(elf, core)
        self._context = self.emulator.program.address_of(_CONTEXT)

    def run(self, manifest: Manifest, inputs: np.ndarray) -> np.ndarray:
        """The outputs of one model, as the interpreter gives them.

        Raises:
            McugenError: a fault of the core, an error of the model, or a write behind its context.
        """
        call, context = self.emulator.call, self._context
        behind = context + manifest.ram.context
        self.emulator.write(behind, _GUARD)
        statuses = [call(f"{manifest.name}_init", context)]
        source = call(f"{manifest.name}_input", context)
        output = call(f"{manifest.name}_output", context)
        rows = []
        for row in encode_input(manifest.input, inputs):
            self.emulator.write(source, row.tobytes())
            statuses.append(call(f"{manifest.name}_run", context))
            rows.append(self.emulator.read(output, manifest.output.bytes))
        if any(statuses):
            raise fail("fuzz", f"{manifest.name} reported an error", got=f"{statuses}")
        if self.emulator.read(behind, len(_GUARD)) != _GUARD:
            raise fail("fuzz", f"{manifest.name}_run wrote behind its context")
        raw = np.frombuffer(b"".join(rows), np.uint8)
        return decode_output(manifest.output, raw.reshape(len(rows), -1))


def _unit(manifests: Sequence[Manifest]) -> str:
    """C that includes all models, and memory for the largest context and its guard."""
    lines = [
        f'#include "{manifest.name}/{name}"'
        for manifest in manifests
        for name in manifest.files
        if name.endswith(".c")
    ]
    words = (max(manifest.ram.context for manifest in manifests) + len(_GUARD)) // 4
    return "\n".join([*lines, f"uint32_t {_CONTEXT}[{words}u];", ""])


def _argv(core: Core, source: Path, elf: Path, entry: str) -> list[str]:
    """As for a bare image, but everything is kept: each model is called by name."""
    return [
        ARM_GCC,
        *core.gcc_flags,
        *WARNINGS,
        "-O2",
        str(source),
        "-nostartfiles",
        "--specs=nano.specs",
        "-Wl,--fatal-warnings",
        "-Wl,--build-id=none",
        f"-Wl,--entry={entry}",
        f"-T{data_root() / 'firmware' / 'bare' / 'bare.ld'}",
        "-o",
        str(elf),
    ]
