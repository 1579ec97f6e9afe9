"""A written .tflite against LiteRT's reference kernels."""

from pathlib import Path

import numpy as np

from mcugen.frontend.tflite import load
from mcugen.ir import Program, interp
from mcugen.ir.types import Int
from mcugen.run.litert import captured_tensors

#: Types of the schema.
INT8, UINT8, INT16, INT32 = 9, 3, 7, 2


def samples(kind: Int, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    """Both ends, mixes of both, and anything between: [count, *shape]."""
    x = rng.integers(kind.lo, kind.hi, (count, *shape), endpoint=True)
    x[0], x[1] = kind.lo, kind.hi
    x[2] = rng.choice([kind.lo, kind.hi], shape)
    return x


def assert_equal_to_litert(
    content: bytes, folder: Path, rng: np.random.Generator, count: int = 8, steps: int = 1
) -> Program:
    """Every tensor that LiteRT computes equals the program's, over sequences of `steps` samples."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = folder / "model.tflite"
    path.write_bytes(content)
    graph, program = load(path)
    kind = program.inputs[0].type
    x = samples(kind.integer, kind.shape[1:], count, rng)
    runner = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    runner.allocate_tensors()
    values = interp.trace(program, x, steps)
    wanted = captured_tensors(graph, program)
    assert wanted
    for index, sample in enumerate(x):
        if index % steps == 0:
            runner.reset_all_variables()
        tensor = graph.tensors[graph.inputs[0]]
        runner.set_tensor(tensor.index, sample.reshape(tensor.shape).astype(tensor.dtype))
        runner.invoke()
        for name, made in wanted.items():
            got = values[name][index].ravel()
            np.testing.assert_array_equal(
                got, runner.get_tensor(made.index).ravel(), f"{name} {index}"
            )
    return program
