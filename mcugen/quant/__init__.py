"""Quantizer ops, grids, `quantize_`, calibration and export: what training and lowering share."""

from mcugen.quant.adaquant import adaquant_
from mcugen.quant.apply import quantize_
from mcugen.quant.calibrate import Upstream, calibrate
from mcugen.quant.export import export
from mcugen.quant.fold import fold_batch_norm_
from mcugen.quant.grid import Basis, Grid, Solver, Uniform
from mcugen.quant.quantizer import follow_data_
from mcugen.quant.weights import snap_weights_
from mcugen.quant.wishes import LayerGrids

__all__ = [
    "Basis",
    "Grid",
    "LayerGrids",
    "Solver",
    "Uniform",
    "Upstream",
    "adaquant_",
    "calibrate",
    "export",
    "fold_batch_norm_",
    "follow_data_",
    "quantize_",
    "snap_weights_",
]
