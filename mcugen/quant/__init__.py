"""Quantizer ops, grids, `quantize_`, calibration and export: what training and lowering share."""

from mcugen.quant.apply import quantize_
from mcugen.quant.calibrate import calibrate
from mcugen.quant.export import export
from mcugen.quant.grid import Basis, Grid, Uniform
from mcugen.quant.weights import snap_weights_
from mcugen.quant.wishes import LayerGrids

__all__ = [
    "Basis",
    "Grid",
    "LayerGrids",
    "Uniform",
    "calibrate",
    "export",
    "quantize_",
    "snap_weights_",
]
