"""`mcugen profile`: what a generated model costs on a core, layer by layer, without a board."""

from dataclasses import dataclass
from pathlib import Path

from mcugen.emit.manifest import Layer, Manifest, read_manifest
from mcugen.errors import fail
from mcugen.profile.flash import FlashModel, flash_cycles
from mcugen.profile.model import IntegerArray, ModelEmulator, random_inputs, varied_inputs
from mcugen.profile.program import Program
from mcugen.profile.timing import TIMINGS
from mcugen.profile.trace import Counts, Trace, Tracer
from mcugen.target.cores import Core


@dataclass(frozen=True)
class LayerProfile:
    """One layer: its function and all that it calls."""

    name: str
    op: str
    kernel: str
    macs: int
    cycles: int
    instructions: int
    cycles_per_mac: float | None
    """None for layers without multiply-accumulates."""


@dataclass(frozen=True)
class ProfileReport:
    """One run of a model on one core; the same program and input give the same report."""

    core: str
    timing: str
    """Where the cycle numbers come from, and whether they are an estimate."""
    cycles: int
    """At zero wait states."""
    instructions: int
    cycles_flash: int | None
    """Estimate with wait states and caches, cold at first; None without a flash model."""
    macs: int
    stack: int
    """Bytes of stack that the run wrote at its deepest."""
    overhead_cycles: int
    """Outside of all layers: NAME_run itself."""
    layers: tuple[LayerProfile, ...]


def profile(
    folder: Path,
    core: Core,
    inputs: IntegerArray | None = None,
    flash: FlashModel | None = None,
) -> ProfileReport:
    """Compile the C in `folder` for `core`, run it and count.

    Of several `inputs` (one a row, as in `ModelEmulator.run_batch`) the slowest is reported;
    without any, one random input is.

    Raises:
        McugenError: no output of `mcugen generate`, no compiler, no emulator, C that does not
            compile or run, or layers in the program that are not those of the manifest.
    """
    manifest = read_manifest(folder)
    model = ModelEmulator(folder, manifest, core)
    if inputs is None:
        inputs = random_inputs(manifest.input, 1, seed=0)
    if not len(inputs):
        raise fail("profile", "no input to profile with")
    tracer = Tracer(model.emulator)
    traces = [_trace(model, tracer, values) for values in inputs]
    slowest = max(range(len(traces)), key=lambda index: traces[index].total.cycles)
    model.set_input(inputs[slowest])
    model.run()
    stack = model.emulator.stack_peak_bytes()
    cycles_flash = None
    if flash is not None:
        model.set_input(inputs[slowest])
        cycles_flash = flash_cycles(model.emulator, flash, model.run_symbol, model.context)
    return _report(manifest, core, traces[slowest], stack, cycles_flash)


def _report(
    manifest: Manifest, core: Core, run: Trace, stack: int, cycles_flash: int | None
) -> ProfileReport:
    layers = tuple(map(_layer_profile, manifest.layers, run.regions))
    return ProfileReport(
        core=core.name,
        timing=TIMINGS[core.name].source,
        cycles=run.total.cycles,
        instructions=run.total.instructions,
        cycles_flash=cycles_flash,
        macs=manifest.macs,
        stack=stack,
        overhead_cycles=run.total.cycles - sum(layer.cycles for layer in layers),
        layers=layers,
    )


def _layer_profile(layer: Layer, counts: Counts) -> LayerProfile:
    return LayerProfile(
        name=layer.name,
        op=layer.op,
        kernel=layer.kernel,
        macs=layer.macs,
        cycles=counts.cycles,
        instructions=counts.instructions,
        cycles_per_mac=counts.cycles / layer.macs if layer.macs else None,
    )


def _trace(model: ModelEmulator, tracer: Tracer, values: IntegerArray) -> Trace:
    """Run one input and check that its regions are the manifest's layers, in order."""
    program, layers = model.emulator.program, model.manifest.layers
    addresses = [_layer_addresses(program, layer) for layer in layers]
    model.set_input(values)
    watch = frozenset().union(*addresses)
    run = tracer.call(model.run_symbol, model.context, watch=watch)
    called = [program.function_at(address) for address in run.entered]
    fits = len(called) == len(layers) and all(
        entry in own for entry, own in zip(run.entered, addresses, strict=True) if own
    )
    if not fits:
        raise fail(
            "profile",
            f"{model.run_symbol} does not call the layers that the manifest lists",
            at=str(program.path),
            got=", ".join(called),
            want=", ".join(layer.function for layer in layers),
            help="generate the folder again",
        )
    return run


def _layer_addresses(program: Program, layer: Layer) -> frozenset[int]:
    """Where the layer's function begins: also gcc's clones of it, `NAME.constprop.0` and the like.

    Empty where gcc folded the function into an identical one: the order of the calls still tells
    the layer.
    """
    return frozenset(
        function.address
        for function in program.functions
        if function.name == layer.function or function.name.startswith(f"{layer.function}.")
    )


@dataclass(frozen=True)
class Spread:
    """How far the cost of a run depends on its input."""

    core: str
    inputs: int
    instructions_min: int
    instructions_max: int
    cycles_min: int
    cycles_max: int

    @property
    def instructions(self) -> int:
        """Instructions between the shortest and the longest run; 0 is the aim."""
        return self.instructions_max - self.instructions_min


def spread(folder: Path, core: Core, n: int, seed: int) -> Spread:
    """Run `n` inputs (zeros, extremes, random from `seed`) and compare what they execute.

    Raises:
        McugenError: as `profile`.
    """
    manifest = read_manifest(folder)
    model = ModelEmulator(folder, manifest, core)
    if n < 1:
        raise fail("profile", "no input to profile with", got=f"{n} inputs")
    tracer = Tracer(model.emulator)
    inputs = varied_inputs(manifest.input, n, seed)
    totals = [_trace(model, tracer, values).total for values in inputs]
    instructions = [total.instructions for total in totals]
    cycles = [total.cycles for total in totals]
    return Spread(
        core=core.name,
        inputs=n,
        instructions_min=min(instructions),
        instructions_max=max(instructions),
        cycles_min=min(cycles),
        cycles_max=max(cycles),
    )
