"""Results as tables for people: one function per command."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from mcugen.emit.manifest import Layer, Manifest, Ram
from mcugen.report.console import table
from mcugen.target.boards import Board

if TYPE_CHECKING:  # a command imports its own work only
    from mcugen.build.firmware import FirmwareReport
    from mcugen.check import CheckReport, Rounding
    from mcugen.flash import FlashReport
    from mcugen.profile.profile import ProfileReport
    from mcugen.profile.tune import Alternative
    from mcugen.run.compare import RunReport
    from mcugen.train.config import TrainResult


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape[1:]))


def _layer_row(layer: Layer) -> tuple[str, ...]:
    bits = f"{layer.weight_bits or '–'}/{layer.activation_bits}"
    return (
        layer.name,
        layer.op,
        f"{_shape(layer.in_shape)} → {_shape(layer.out_shape)}",
        bits,
        layer.kernel,
        f"{layer.macs:,}" if layer.macs else "",
        f"{layer.weight_bytes:,}" if layer.weight_bytes else "",
    )


def generated(
    manifest: Manifest, board: Board | None, folder: str, rounding: "Rounding | None"
) -> RenderableType:
    """Layers, memory, what was written, and what fast rounding changes."""
    layers = table(
        "layer",
        "op",
        "in → out",
        "bits w/a",
        "kernel",
        "MACs",
        "weights B",
        right=("MACs", "weights B"),
    )
    for layer in manifest.layers:
        layers.add_row(*_layer_row(layer))
    constants = manifest.weight_bytes + manifest.table_bytes
    parts = f"weights {manifest.weight_bytes:,}, tables {manifest.table_bytes:,}"
    flash = f"{constants:,} B of constants ({parts}; code: mcugen build)"
    ram = manifest.ram
    memory = f"{ram.context:,} B ({_arena(manifest.ram)})"
    if board:
        flash += f", {board.name} has {board.memory.flash.size:,}"
        memory += f", {board.name} leaves {board.ram_available:,}"
    files = ", ".join(f"{folder}/{name}" for name in (*manifest.files, "manifest.json"))
    lines = [f"flash  {flash}", f"RAM    {memory}", f"wrote  {files}"]
    if rounding:
        share = f"{rounding.differing:,} of {rounding.elements:,} output elements differ"
        samples = f"by at most {rounding.largest}, on {rounding.samples} random samples"
        lines.append(f"fast rounding: {share} from the exact program's, {samples}")
    return Group(layers, "", *lines)


def _arena(ram: Ram) -> str:
    """How good the plan is, where the peak lies, and what was paid for less."""
    proven = "no less for these kernels" + (" in any order" if ram.exact_order else "")
    parts = [proven if ram.optimal else f"lower bound {ram.lower_bound:,}"]
    if ram.state:
        parts.append(f"{ram.state:,} kept from run to run")
    if ram.peak_layer:
        parts.append(f"peak at {ram.peak_layer}")
    if ram.saved or ram.added_cycles:
        parts.append(f"{ram.saved:,} less for {ram.added_cycles:,} cycles more, as predicted")
    return ", ".join(parts)


def alternatives(found: "tuple[Alternative, ...]") -> RenderableType:
    """The kernels that could compute each layer; a star marks the chosen one."""
    numbers = ("predicted", "measured", "cycles/MAC", "constants B", "scratch B")
    layers = table("layer", "op", "", "kernel", *numbers, right=numbers)
    for item in found:
        layers.add_row(
            item.layer if item.chosen else "",
            item.op if item.chosen else "",
            "*" if item.chosen else "",
            item.kernel,
            f"{item.predicted:,}",
            f"{item.measured:,}",
            f"{item.measured / item.macs:.2f}" if item.macs else "",
            f"{item.constants:,}",
            f"{item.scratch:,}",
        )
    return layers


def checked(report: "CheckReport") -> RenderableType:
    """Accuracy and agreement of the three executions, and of the layers where they were asked."""
    same_class = f"same class as {report.reference}"
    executions = table(
        "",
        "accuracy",
        same_class,
        "elements that differ",
        right=("accuracy", same_class),
    )

    def add(title: str, key: str, differ: str) -> None:
        share = report.agreement.get(f"reference_{key}")
        same = "" if share is None else f"{round(share * report.samples):,} of {report.samples:,}"
        executions.add_row(title, percent(report.accuracy[key]), same, differ)

    mismatched = report.mismatched_elements
    against = f"{mismatched['interpreter_c']:,} of {report.elements:,} from the program"
    if mismatched.get("reference_c"):
        against += (
            f", {mismatched['reference_c']:,} from {report.reference} by more than half a level"
        )
    if report.largest_difference is not None:
        against += f", at most {report.largest_difference:.2g} from {report.reference}"
    add(report.reference, "reference", "")
    add("program", "interpreter", "")
    add("host C", "c", against)
    return Group(executions, *(_layers(report) if report.layers else ()))


def _layers(report: "CheckReport") -> list[RenderableType]:
    """What --layers adds to `checked`."""
    numbers = (f"as {report.reference}", "largest difference", "C differs")
    layers = table("value", "from", *numbers, right=numbers)
    for item in report.layers:
        equal = "" if item.equal is None else percent(item.equal)
        difference = "" if item.max_difference is None else str(item.max_difference)
        layers.add_row(item.name, item.source, equal, difference, f"{item.c_mismatches:,}")
    first = report.first_difference
    verdict = f"first at {first}" if first else "none in any layer"
    lines = [f"differences of C from the program: {verdict}"]
    if off := report.first_off_reference:
        lines.append(f"differences of the program from {report.reference}: first at {off}")
    return ["", layers, "", *lines]


def built(report: "FirmwareReport") -> RenderableType:
    """Sections, layers and stack of a firmware image."""
    sections = table("section", "address", "bytes", right=("bytes",))
    for section in report.sections:
        sections.add_row(section.name, f"{section.address:#010x}", f"{section.bytes:,}")
    layers = table(
        "layer", "code B", "weights B", "tables B", right=("code B", "weights B", "tables B")
    )
    for layer in report.layers:
        layers.add_row(layer.name, f"{layer.code:,}", f"{layer.weights:,}", f"{layer.tables:,}")
    flash, ram = report.flash, report.ram
    others = (report.binary, report.hex, report.uf2)
    return Group(
        layers,
        "",
        sections,
        "",
        f"flash  {flash.total:,} of {report.flash_size:,} B "
        f"(code {flash.code:,}, constants {flash.constants:,})",
        f"RAM    {ram.total:,} of {report.ram_size:,} B "
        f"(arena {ram.arena:,}, static {ram.static:,}, stack {ram.stack:,})",
        f"stack  at most {report.stack.bytes:,} B in the image, "
        f"{report.model_stack.bytes:,} B in the model",
        f"wrote  {', '.join([str(report.elf), *(path.name for path in others if path)])}",
    )


def flashed(report: "FlashReport") -> RenderableType:
    """A dry run prints the commands and nothing else, for a shell."""
    if report.dry_run:
        return Group(*report.commands)
    verified = "written and read back" if report.verified else "written, not read back,"
    through = f" ({report.probe})" if report.probe else ""
    return (
        f"{report.board}: {report.bytes:,} B of model {report.digest[:8]}… {verified} "
        f"by {report.runner}{through} in {report.seconds:.1f} s"
    )


def profiled(report: "ProfileReport") -> RenderableType:
    """Cycles per layer."""
    layers = table(
        "layer",
        "op",
        "kernel",
        "MACs",
        "cycles",
        "cycles/MAC",
        right=("MACs", "cycles", "cycles/MAC"),
    )
    for item in report.layers:
        ratio = "" if item.cycles_per_mac is None else f"{item.cycles_per_mac:.2f}"
        macs = f"{item.macs:,}" if item.macs else ""
        layers.add_row(item.name, item.op, item.kernel, macs, f"{item.cycles:,}", ratio)
    lines = [
        f"{report.core}: {report.cycles:,} cycles, {report.instructions:,} instructions, "
        f"{report.macs:,} MACs, {report.stack:,} B of stack",
        f"timing {report.timing}, zero wait states",
    ]
    if report.cycles_flash is not None:
        lines.append(f"estimate with the board's flash wait states: {report.cycles_flash:,} cycles")
    return Group(layers, "", *lines)


def ran(report: "RunReport") -> RenderableType:
    """One sentence, times where the target's mean anything, and where it goes wrong."""
    verdict = "every output byte as on the host"
    if report.mismatched_bytes:
        verdict = f"{report.mismatched_bytes:,} output bytes differ from the host's"
    lines = [
        f"{report.target}, model {report.digest[:8]}…, {report.samples:,} samples, "
        f"{verdict}, accuracy {percent(report.accuracy)}",
        f"clock {report.clock_hz / 1e6:g} MHz, stack {report.stack:,} B, {report.retries} retries",
    ]
    if first := report.first_difference:
        where = "no layer differs when it runs again: the fault comes and goes"
        if first.layer is not None:
            where = f"first differing layer {first.layer}, {first.bytes:,} bytes of what it stores"
        lines.append(f"sample {first.sample:,}: {where}")
    if not (report.cycles and report.layer_cycles):
        lines.append(f"cycles are not measured in an emulator: mcugen profile {report.folder}")
        return Group(*lines)
    spread = (report.cycles.min, report.cycles.median, report.cycles.max)
    latency = " / ".join(f"{1e3 * cycles / report.clock_hz:.3f}" for cycles in spread)
    cycles = " / ".join(f"{cycles:,}" for cycles in spread)
    lines.append(f"latency {latency} ms, cycles {cycles} (min / median / max)")
    layers = table("layer", "median cycles", "share", right=("median cycles", "share"))
    total = sum(report.layer_cycles.values())
    for name, count in report.layer_cycles.items():
        layers.add_row(name, f"{count:,}", percent(count / max(1, total)))
    return Group(*lines, "", layers)


def trained(result: "TrainResult") -> str:
    steps = "".join(f"; {step.name} {percent(step.accuracy)}" for step in result.steps)
    return (
        f"{result.path}: {percent(result.accuracy)} on {result.samples:,} test samples, "
        f"{result.summary}{steps} ({result.seconds:.0f} s)"
    )
