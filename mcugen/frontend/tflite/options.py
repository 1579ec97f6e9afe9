"""Options of operators: a dataclass for each table of the schema that has any.

A field is named as in the schema. Operators whose table is not here have no options that matter.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """No options."""


@dataclass(frozen=True)
class Activated(Options):
    """Operators with a fused activation function."""

    fused_activation_function: str = "NONE"


@dataclass(frozen=True)
class Strided(Activated):
    padding: str = "SAME"
    stride_h: int = 0
    stride_w: int = 0


@dataclass(frozen=True)
class Conv2DOptions(Strided):
    dilation_h_factor: int = 1
    dilation_w_factor: int = 1


@dataclass(frozen=True)
class DepthwiseConv2DOptions(Conv2DOptions):
    depth_multiplier: int = 0


@dataclass(frozen=True)
class Pool2DOptions(Strided):
    filter_height: int = 0
    filter_width: int = 0


@dataclass(frozen=True)
class FullyConnectedOptions(Activated):
    weights_format: int = 0
    keep_num_dims: bool = False


@dataclass(frozen=True)
class AddOptions(Activated):
    pot_scale_int16: bool = True


@dataclass(frozen=True)
class SubOptions(AddOptions):
    pass


@dataclass(frozen=True)
class MulOptions(Activated):
    pass


@dataclass(frozen=True)
class ReducerOptions(Options):
    keep_dims: bool = False


@dataclass(frozen=True)
class SoftmaxOptions(Options):
    beta: float = 0.0


@dataclass(frozen=True)
class ConcatenationOptions(Activated):
    axis: int = 0


@dataclass(frozen=True)
class LeakyReluOptions(Options):
    alpha: float = 0.0


@dataclass(frozen=True)
class StridedSliceOptions(Options):
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True)
class ResizeNearestNeighborOptions(Options):
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class TransposeConvOptions(Strided):
    pass


@dataclass(frozen=True)
class SVDFOptions(Activated):
    rank: int = 0


@dataclass(frozen=True)
class UnidirectionalSequenceLSTMOptions(Activated):
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    time_major: bool = False


_ALL: tuple[type[Options], ...] = (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    Pool2DOptions,
    FullyConnectedOptions,
    AddOptions,
    SubOptions,
    MulOptions,
    ReducerOptions,
    SoftmaxOptions,
    ConcatenationOptions,
    LeakyReluOptions,
    StridedSliceOptions,
    ResizeNearestNeighborOptions,
    TransposeConvOptions,
    SVDFOptions,
    UnidirectionalSequenceLSTMOptions,
)

#: Name of a table of the schema → its dataclass.
TABLES = {kind.__name__: kind for kind in _ALL}
