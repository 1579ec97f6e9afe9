"""One file for each kind of operator; `HANDLERS` is the table from its name to what lowers it.

A handler appends to the program and calls `Context.finish` for each result. What it cannot lower it
refuses with McugenError; the operator's name and number are added to that.
"""

from collections.abc import Callable

from mcugen.frontend.tflite.context import Context
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.handlers import (
    activations,
    convolution,
    elementwise,
    layout,
    lstm,
    pools,
    resample,
    svdf,
)

Handler = Callable[[Context, Operator], None]

#: The one table from operator to handler; `mcugen ops` prints it.
HANDLERS: dict[str, Handler] = {
    "CONV_2D": convolution.conv2d,
    "DEPTHWISE_CONV_2D": convolution.depthwise,
    "TRANSPOSE_CONV": convolution.transpose,
    "FULLY_CONNECTED": convolution.fully_connected,
    "ADD": elementwise.add,
    "SUB": elementwise.subtract,
    "MUL": elementwise.multiply,
    "RELU": elementwise.rectify("RELU"),
    "RELU6": elementwise.rectify("RELU6"),
    "RELU_N1_TO_1": elementwise.rectify("RELU_N1_TO_1"),
    "RELU_0_TO_1": elementwise.rectify("RELU_0_TO_1"),
    "QUANTIZE": elementwise.requantize,
    "AVERAGE_POOL_2D": pools.average,
    "MAX_POOL_2D": pools.maximum,
    "MEAN": pools.mean,
    "PAD": layout.pad,
    "PADV2": layout.pad,
    "RESHAPE": layout.reshape,
    "SQUEEZE": layout.reshape,
    "EXPAND_DIMS": layout.reshape,
    "TRANSPOSE": layout.transpose,
    "CONCATENATION": layout.concatenate,
    "SPLIT": layout.split,
    "SPLIT_V": layout.split,
    "SLICE": layout.slice_,
    "STRIDED_SLICE": layout.strided_slice,
    "RESIZE_NEAREST_NEIGHBOR": resample.nearest,
    "LOGISTIC": activations.logistic,
    "TANH": activations.tanh,
    "HARD_SWISH": activations.hard_swish,
    "LEAKY_RELU": activations.leaky_relu,
    "PRELU": activations.prelu,
    "SOFTMAX": activations.softmax,
    "SVDF": svdf.svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm.lstm,
}
