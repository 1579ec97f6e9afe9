"""A target's outputs against the host's, byte by byte."""

from dataclasses import dataclass

import numpy as np

from mcugen.emit.manifest import Manifest
from mcugen.run.layers import LayerDifference
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
    first_difference: LayerDifference | None
    cycles: Spread | None
    cycle_source: str
    layer_cycles: dict[str, int] | None
    """Median per layer."""
    clock_hz: int
    stack: int
    retries: int


def differing_bytes(target: TargetRun, host: np.ndarray) -> np.ndarray:
    """Output bytes of each sample in which the target differs from `host`, uint8 [N, bytes]."""
    got = np.ascontiguousarray(target.outputs).view(np.uint8).reshape(host.shape)
    return np.asarray((got != host).sum(axis=1))


def report(
    target: TargetRun,
    differing: np.ndarray,
    y: np.ndarray,
    first: LayerDifference | None,
    manifest: Manifest,
    names: tuple[str, str],
) -> RunReport:
    """The report of a run.

    Args:
        target: what came back, one row per sample.
        differing: bytes of each sample that differ from the host's.
        y: labels.
        first: where the first sample that differs goes wrong.
        manifest: of the model that ran.
        names: of the target and of the model's folder, for people.
    """
    return RunReport(
        samples=target.samples,
        target=names[0],
        folder=names[1],
        digest=manifest.digest,
        accuracy=float((classes(target.outputs) == y).mean()),
        mismatched_bytes=int(differing.sum()),
        first_difference=first,
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
