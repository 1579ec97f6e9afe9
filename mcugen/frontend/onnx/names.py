"""Names of ONNX tensors and nodes, made fit for the graph that lowering takes."""

import re

from mcugen.frontend.onnx.graph import OnnxNode

_MOST = 80


class Names:
    """Unique names of letters, digits, dots and underscores."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def fresh(self, text: str) -> str:
        """A name not given before, like `text`."""
        plain = re.sub(r"[^A-Za-z0-9_.]+", "_", text).strip("_.")[:_MOST] or "tensor"
        number = self._taken.get(plain, 0) + 1
        self._taken[plain] = number
        return plain if number == 1 else self.fresh(f"{plain}.{number}")


def module(node: OnnxNode) -> str:
    """The module a node belongs to, as exporters spell it: `/layer1/conv2/Conv` is layer1.conv2."""
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1].startswith(node.op):
        parts.pop()
    return ".".join(parts)
