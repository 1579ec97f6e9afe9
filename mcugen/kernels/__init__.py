"""Kernels: the only dispatch from an op of the integer program to C.

To add one: a descriptor here (see `base.Kernel`), its template in templates/kernels/, a test in
tests/kernels/, and its line in KERNELS.
"""

from mcugen.errors import fail
from mcugen.kernels import (
    add,
    argmax,
    average_pool,
    concat,
    conv2d,
    conv2d_blocked,
    conv2d_crossed,
    conv2d_levels,
    conv2d_packed,
    conv2d_paired,
    conv2d_patterns,
    conv2d_planes,
    conv2d_planes_grouped,
    conv2d_sliced,
    conv2d_winograd,
    conv2d_winograd_bytes,
    convert,
    depthwise_conv2d,
    depthwise_planar,
    depthwise_sliced,
    interpolate,
    linear,
    linear_blocked,
    linear_crossed,
    linear_levels,
    linear_packed,
    linear_paired,
    linear_planes,
    linear_sliced,
    max_pool,
    max_pool_planes,
    mul,
    pad,
    resize,
    slice,
    smooth,
    softmax,
    state_write,
    sum_pool,
    transpose,
    transpose_conv2d,
)
from mcugen.kernels.base import Kernel
from mcugen.kernels.step import Step
from mcugen.target.cores import Core

#: Among equals the first is taken.
KERNELS: tuple[Kernel, ...] = (
    conv2d.KERNEL,
    conv2d_blocked.KERNEL,
    conv2d_crossed.KERNEL,
    conv2d_paired.KERNEL,
    conv2d_winograd.KERNEL,
    conv2d_winograd_bytes.KERNEL,
    depthwise_conv2d.KERNEL,
    depthwise_planar.KERNEL,
    depthwise_sliced.KERNEL,
    conv2d_planes.KERNEL,
    conv2d_levels.KERNEL,
    conv2d_packed.KERNEL,
    conv2d_patterns.KERNEL,
    conv2d_planes_grouped.KERNEL,
    conv2d_sliced.KERNEL,
    transpose_conv2d.KERNEL,
    linear.KERNEL,
    linear_blocked.KERNEL,
    linear_crossed.KERNEL,
    linear_paired.KERNEL,
    linear_planes.KERNEL,
    linear_levels.KERNEL,
    linear_packed.KERNEL,
    linear_sliced.KERNEL,
    sum_pool.KERNEL,
    average_pool.KERNEL,
    max_pool.KERNEL,
    max_pool_planes.KERNEL,
    add.KERNEL,
    mul.KERNEL,
    convert.KERNEL,
    resize.KERNEL,
    pad.KERNEL,
    slice.KERNEL,
    transpose.KERNEL,
    concat.KERNEL,
    smooth.KERNEL,
    interpolate.KERNEL,
    softmax.KERNEL,
    argmax.KERNEL,
    state_write.KERNEL,
)


def able(step: Step, core: Core) -> tuple[Kernel, ...]:
    """The kernels that compute `step` on `core`.

    Raises:
        McugenError: there is none.
    """
    found = tuple(kernel for kernel in KERNELS if kernel.accepts(step, core))
    if found:
        return found
    types = ", ".join(str(item.type) for item in step.inputs)
    supported = "; ".join(kernel.supports for kernel in KERNELS)
    raise fail(
        "plan",
        f"no kernel computes {step.operation} on {core.name}",
        at=step.where,
        got=f"{types} -> {step.output.type}",
        help=f"supported: {supported}",
    )
