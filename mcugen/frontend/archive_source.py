"""Where a node of the graph came from, out of the metadata PyTorch's export leaves."""

import re

from mcugen.ir.program import Source

_FRAME = re.compile(r'File "([^"\n]{1,1000})", line (\d{1,9})')
#: Frames that are never what the user wrote: PyTorch itself and mcugen's quantizers.
_INNER = re.compile(
    r"(?:^|/)(?:torch/(?:nn|ao|fx|utils|export|_[a-z_]+)/|torch/\w+\.py$|mcugen/quant/|torchao/)|^<"
)
_INSTALLED = re.compile(r"/(site|dist)-packages/")
_MAX_TRACE = 100_000


def read_source(node: str, metadata: dict[str, str]) -> Source:
    """Node, module and line: each empty where the metadata does not tell.

    Of the file only the last part of its path is kept: no folder of the exporting machine gets on.
    """
    return Source(
        node,
        _module(metadata.get("nn_module_stack", "")[:_MAX_TRACE]),
        _line(metadata.get("stack_trace", "")[-_MAX_TRACE:]),
    )


def _line(trace: str) -> str:
    """The innermost frame in the user's code; failing that, in a library of models."""
    frames = [(file.replace("\\", "/"), line) for file, line in _FRAME.findall(trace)]
    outer = [frame for frame in frames if not _INNER.search(frame[0])]
    own = [frame for frame in outer if not _INSTALLED.search(frame[0])]
    for file, line in (own or outer)[-1:]:
        return f"{_shown(file.rsplit('/', 1)[-1])}:{int(line)}"
    return ""


def _module(stack: str) -> str:
    """The innermost module; for a parametrization the module whose weight it makes."""
    if not stack:
        return ""
    parts = stack.rsplit(";", 1)[-1].split(",")
    if len(parts) < 3:
        return ""
    name = re.sub(r"@\d+", "", parts[1])  # export numbers repeated calls of one module
    owner = re.split(r"(?:^|\.)parametrizations(?:\.|$)", name, maxsplit=1)[0]
    return _shown(owner)


def _shown(text: str) -> str:
    """Text of the archive made fit for a message or a comment in C."""
    return re.sub(r"[^\w.<>-]", "_", text, flags=re.ASCII)[:200]
