"""The JSON documents of the commands: an interface, described in docs/json.md."""

from dataclasses import asdict
from typing import Any

from mcugen.build.firmware import FirmwareReport
from mcugen.check import CheckReport
from mcugen.emit.manifest import Layer, Manifest
from mcugen.ir.program import Program
from mcugen.profile.profile import ProfileReport
from mcugen.run.compare import RunReport

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


def generated(manifest: Manifest) -> Document:
    """`generate`; `flash.code` is null: nothing is compiled yet."""
    return {
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
            "context": manifest.ram.context,
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


def checked(report: CheckReport) -> Document:
    """`check`; `layers` only with --layers."""
    document = asdict(report)
    document["first_difference"] = report.first_difference
    if not report.layers:
        del document["layers"], document["first_difference"]
    return document


def built(report: FirmwareReport) -> Document:
    """`build`."""
    return {
        **asdict(report),
        "stack_bytes": report.stack.bytes,
        "model_stack_bytes": report.model_stack.bytes,
        "fits": report.fits,
    }


def ran(report: RunReport) -> Document:
    """`run`; `cycles` is null in an emulator."""
    return asdict(report)


def profiled(report: ProfileReport) -> Document:
    """`profile`."""
    return asdict(report)
