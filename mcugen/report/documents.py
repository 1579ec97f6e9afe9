"""The JSON documents of the commands: an interface, described in docs/json.md."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mcugen.emit.manifest import Layer, Manifest
from mcugen.ir.program import Program

if TYPE_CHECKING:  # a command imports its own work only
    from mcugen.build.firmware import FirmwareReport
    from mcugen.build.stack import StackBound
    from mcugen.check import CheckReport, Rounding
    from mcugen.flash import FlashReport
    from mcugen.profile.profile import ProfileReport
    from mcugen.profile.tune import Alternative
    from mcugen.run.compare import RunReport
    from mcugen.train.config import TrainResult

Document = dict[str, Any]


def _layer(layer: Layer) -> Document:
    return {
        "name": layer.name,
        "op": layer.op,
        "kernel": layer.kernel,
        "shape": layer.out_shape,
        "macs": layer.macs,
        "weight_bits": layer.weight_bits,
        "activation_bits": layer.activation_bits,
        "weight_bytes": layer.weight_bytes,
    }


def generated(manifest: Manifest, rounding: "Rounding | None") -> Document:
    """`generate`; `flash.code` is null: nothing is compiled yet."""
    return {
        "fast_rounding": None if rounding is None else asdict(rounding),
        "model": manifest.source.file,
        "name": manifest.name,
        "board": manifest.board,
        "core": manifest.core,
        "macs": manifest.macs,
        "flash": {
            "weights": manifest.weight_bytes,
            "tables": manifest.table_bytes,
            "code": None,
        },
        "ram": {
            "arena": manifest.ram.arena,
            "lower_bound": manifest.ram.lower_bound,
            "optimal": manifest.ram.optimal,
            "exact_order": manifest.ram.exact_order,
            "saved": manifest.ram.saved,
            "added_cycles": manifest.ram.added_cycles,
            "state": manifest.ram.state,
            "context": manifest.ram.context,
            "peak_layer": manifest.ram.peak_layer,
            "peak": [item.model_dump() for item in manifest.ram.peak],
        },
        "layers": [_layer(layer) for layer in manifest.layers],
    }


def inspected(program: Program, text: str) -> Document:
    """`inspect`."""
    return {
        "name": program.name,
        "sha256": program.sha256,
        "output_function": program.output_function,
        "nodes": [
            {
                "name": node.result.name,
                "op": node.op.mnemonic,
                "operands": node.op.operands,
                "type": str(node.result.type),
                "source": str(node.result.source or ""),
            }
            for node in program.nodes
        ],
        "text": text,
    }


def alternatives(core: str, found: "tuple[Alternative, ...]") -> Document:
    """`inspect --kernels`."""
    return {"core": core, "kernels": [asdict(item) for item in found]}


def checked(report: "CheckReport") -> Document:
    """`check`; `layers` and the first differences only with --layers."""
    document = asdict(report)
    if not report.layers:
        del document["layers"]
        return document
    return {
        **document,
        "first_difference": report.first_difference,
        "first_off_reference": report.first_off_reference,
    }


def built(report: "FirmwareReport") -> Document:
    """`build`."""
    document = asdict(report)
    del document["stack"], document["model_stack"]
    return {
        **document,
        "stack": {"image": _stack(report.stack), "model": _stack(report.model_stack)},
        "fits": report.fits,
    }


def _stack(bound: "StackBound") -> Document:
    path = [{"function": function, "bytes": frame} for function, frame in bound.path]
    return {"bytes": bound.bytes, "path": path}


def flashed(report: "FlashReport") -> Document:
    """`flash`; `seconds` and `chip` are null in a dry run."""
    return asdict(report)


def ran(report: "RunReport") -> Document:
    """`run`; `cycles` is null in an emulator."""
    return asdict(report)


def trained(result: "TrainResult") -> Document:
    """`train`; `loss` is null where it is no number."""
    return asdict(result)


def profiled(report: "ProfileReport") -> Document:
    """`profile`."""
    return asdict(report)
