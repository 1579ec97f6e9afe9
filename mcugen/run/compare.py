"""A target's outputs against the host's, byte by byte."""

from dataclasses import dataclass

import numpy as np

from mcugen.emit.manifest import Manifest
from mcugen.run.samples import classes
from mcugen.run.target import TargetRun


@dataclass(frozen=True)
class Spread:
    """Cycles over the samples."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class RunReport:
    """The JSON document of `mcugen run`."""

    samples: int
    target: str
    folder: str
    digest: str
    accuracy: float
    mismatched_bytes: int
    cycles: Spread | None
    cycle_source: str
    layer_cycles: dict[str, int] | None
    """Median per layer."""
    clock_hz: int
    stack: int
    retries: int


def compare(
    target: TargetRun, host: np.ndarray, y: np.ndarray, manifest: Manifest, names: tuple[str, str]
) -> RunReport:
    """The report of a run.

    Args:
        target: what came back, one row per sample.
        host: the host's outputs of the same samples.
        y: labels.
        manifest: of the model that ran.
        names: of the target and of the model's folder, for people.
    """
    expected = np.ascontiguousarray(host.reshape(target.outputs.shape), target.outputs.dtype)
    differs = expected.view(np.uint8) != np.ascontiguousarray(target.outputs).view(np.uint8)
    return RunReport(
        samples=target.samples,
        target=names[0],
        folder=names[1],
        digest=manifest.digest,
        accuracy=float((classes(target.outputs) == y).mean()),
        mismatched_bytes=int(differs.sum()),
        cycles=None if target.cycles is None else _spread(target.cycles),
        cycle_source=target.cycle_source,
        layer_cycles=_per_layer(target.layer_cycles, manifest),
        clock_hz=target.clock_hz,
        stack=target.stack_bytes,
        retries=target.retries,
    )


def _spread(cycles: np.ndarray) -> Spread:
    return Spread(int(cycles.min()), int(np.median(cycles)), int(cycles.max()))


def _per_layer(cycles: np.ndarray | None, manifest: Manifest) -> dict[str, int] | None:
    if cycles is None:
        return None
    medians = np.median(cycles, axis=0).astype(int)
    return {layer.name: int(c) for layer, c in zip(manifest.layers, medians, strict=True)}
