"""Worst-case stack from the call graph that gcc writes (`-fcallgraph-info=su`), in bytes.

gcc gives each function's frame and calls. Functions of newlib and libgcc come without; theirs are
read from the image's disassembly, counting every push as if none were popped. Recursion, calls
through pointers and frames that grow at run time have no bound here and are refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mcugen.build.elf import Instruction
from mcugen.errors import Fault, McugenError

#: Eight registers pushed by the processor, and four bytes to align (DDI 0403, B1.5.6 and B1.5.7).
EXCEPTION_BYTES = 36

_INDIRECT = "__indirect_call"
_NODE = re.compile(r'^node: \{ title: "(?P<title>[^"]+)" label: "(?P<label>[^"]*)"')
_EDGE = re.compile(
    r'^edge: \{ sourcename: "(?P<source>[^"]+)" targetname: "(?P<target>[^"]+)"'
    r'(?: label: "(?P<label>[^"]*)")?'
)
_FRAME = re.compile(r"^(?P<bytes>\d+) bytes \((?P<kind>[a-z,]+)\)$")
_TARGET = re.compile(r"<(?P<name>[^>+]+)>")
_REGISTERS = re.compile(r"\{(?P<list>[^}]+)\}")
_IMMEDIATE = re.compile(r"#-?(?P<value>\d+)")


@dataclass(frozen=True)
class Function:
    """A function's own frame in bytes, its calls, and its place in the source."""

    name: str
    frame_bytes: int
    calls: frozenset[str]
    at: str | None = None
    is_dynamic: bool = False


@dataclass(frozen=True)
class StackBound:
    """Bytes of stack at most, and the chain of calls with their frames that takes them."""

    bytes: int
    path: tuple[tuple[str, int], ...]


Graph = Mapping[str, Function]


def read_callgraph(texts: Iterable[str]) -> dict[str, Function]:
    """The functions in the .ci files `texts`; a static one is called `FILE:NAME`."""
    functions: dict[str, Function] = {}
    calls: dict[str, set[str]] = {}
    for line in "\n".join(texts).splitlines():
        if node := _NODE.match(line):
            function = _function(_short(node["title"]), node["label"])
            if function is not None:
                functions[function.name] = function
        elif edge := _EDGE.match(line):
            calls.setdefault(_short(edge["source"]), set()).add(_short(edge["target"]))
    return {
        name: replace(function, calls=frozenset(calls.get(name, ())))
        for name, function in functions.items()
    }


def _short(title: str) -> str:
    """A title without its folders."""
    return title.rpartition("/")[2]


def _function(title: str, label: str) -> Function | None:
    """The function a node defines; None where it only names one of another file."""
    lines = label.split(r"\n")
    for line in lines[2:]:
        if frame := _FRAME.match(line):
            kind = frame["kind"]
            return Function(title, int(frame["bytes"]), frozenset(), lines[1], kind != "static")
    return None


def add_library(
    graph: Graph, disassembly: Mapping[str, tuple[Instruction, ...]]
) -> dict[str, Function]:
    """`graph` with the functions that only the image has, such as memcpy and divisions.

    Calls to them that the compiler adds late (jump-table helpers of Armv6-M) join the graph too.
    """
    known = {name.rpartition(":")[2] for name in graph}
    library = {
        name: _library_function(name, body)
        for name, body in disassembly.items()
        if name not in known
    }
    ours = {
        name: replace(
            function,
            calls=function.calls
            | (_calls(disassembly.get(name.rpartition(":")[2], ())) & library.keys()),
        )
        for name, function in graph.items()
    }
    return {**library, **ours}


def _library_function(name: str, body: tuple[Instruction, ...]) -> Function:
    frame_bytes = sum(_pushed_bytes(item) for item in body)
    return Function(name, frame_bytes, _calls(body) - {name}, at="library")


def _calls(body: tuple[Instruction, ...]) -> frozenset[str]:
    targets = (_branch_target(item) for item in body)
    return frozenset(target for target in targets if target is not None)


def _branch_target(item: Instruction) -> str | None:
    """The function that a branch goes to. One through a register has no name: it is indirect."""
    if not item.mnemonic.startswith("b"):
        return None
    target = _TARGET.search(item.operands)
    if target is not None:
        return target["name"]
    return _INDIRECT if item.mnemonic == "blx" else None


def _pushed_bytes(item: Instruction) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    mnemonic, operands = item.mnemonic, item.operands
    pushes = mnemonic.startswith("push") or operands.startswith("sp!")
    if pushes and (registers := _REGISTERS.search(operands)):
        return 0 if mnemonic.startswith(("ldm", "pop")) else 4 * _register_count(registers["list"])
    if mnemonic.startswith("sub") and operands.startswith("sp"):
        return _immediate(operands)
    if mnemonic.startswith("str") and re.search(r"\[sp, #-\d+\]!", operands):
        return _immediate(operands)
    return 0


def _immediate(operands: str) -> int:
    found = _IMMEDIATE.search(operands)
    return int(found["value"]) if found else 0


def _register_count(text: str) -> int:
    """Registers in a list such as `r4, r6-r8, lr`."""
    count = 0
    for item in text.split(","):
        first, _, last = item.strip().partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count


def worst_case(graph: Graph, root: str) -> StackBound:
    """The deepest chain of calls from `root`.

    Raises:
        McugenError: recursion, a call through a pointer, a frame that grows, or a function that
            neither the compiler nor the image knows; all of them at once.
    """
    search = _Search(graph)
    bound = search.visit(root, ())
    if search.faults:
        raise McugenError("build", search.faults)
    return bound


class _Search:
    """Depth-first search with each function's bound kept, and the faults met on the way."""

    def __init__(self, graph: Graph) -> None:
        self.faults: list[Fault] = []
        self._graph = graph
        self._bounds: dict[str, StackBound] = {}

    def visit(self, name: str, callers: tuple[str, ...]) -> StackBound:
        if name in self._bounds:
            return self._bounds[name]
        if name in callers:
            chain = " → ".join((*callers[callers.index(name) :], name))
            self.faults.append(Fault("recursion: the stack has no bound", at=chain))
            return StackBound(0, ())
        bound = self._bound(name, callers)
        self._bounds[name] = bound
        return bound

    def _bound(self, name: str, callers: tuple[str, ...]) -> StackBound:
        function = self._graph.get(name)
        if function is None:
            self.faults.append(Fault(f"stack of '{name}' unknown", at=self._place(callers)))
            return StackBound(0, ())
        if function.is_dynamic:
            self.faults.append(Fault(f"frame of '{name}' grows at run time", at=function.at))
        deepest = StackBound(0, ())
        for call in sorted(function.calls):
            bound = self._call(function, call, (*callers, name))
            if bound.bytes > deepest.bytes:
                deepest = bound
        path = ((name, function.frame_bytes), *deepest.path)
        return StackBound(function.frame_bytes + deepest.bytes, path)

    def _call(self, function: Function, call: str, callers: tuple[str, ...]) -> StackBound:
        if call == _INDIRECT:
            what = f"'{function.name}' calls through a pointer: the stack has no bound"
            self.faults.append(Fault(what, at=function.at))
            return StackBound(0, ())
        return self.visit(call, callers)

    def _place(self, callers: tuple[str, ...]) -> str | None:
        return f"call in '{callers[-1]}'" if callers else None
