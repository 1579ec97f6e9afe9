"""Text form of a program: printed and parsed back without loss.

    program @digits sha256=3f9c {
      const @conv1.w : i8[8,5,5,1] [-127..127] sha256=9d1b...
      const @conv1.d : i8[1] [1..1] = 1
      %x = input : u8[1,28,28,1] [0..255]  # scale=0.00392 zero=0 offset=0.0
      %h = state = -3 : i8[1,16] [-128..127]
      %1 = conv2d %x, @conv1.w {stride=1:1, ...} : i32[1,24,24,8] [-4121..3987]  # at=lenet.py:14
      output %1
    }

Small constants stand in the text; larger ones are named by their SHA-256 and live in a side file
(`save_constants`, an .npz). A bug report carries both.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from mcugen.errors import McugenError, fail
from mcugen.ir.ops import OPS, Op
from mcugen.ir.program import Array, Const, Meaning, Node, Program, Source, State, Value, constant
from mcugen.ir.types import Planes, parse_type

INLINE_ELEMENTS = 16


def to_text(program: Program) -> str:
    """The text form of `program`."""
    head = f"program @{program.name}"
    if program.sha256:
        head += f" sha256={program.sha256}"
    lines = [f"{head} {{"]
    lines += [f"  {_const(const)}" for const in program.consts]
    lines += [f"  {value.name} = input : {value.type}{_note(value)}" for value in program.inputs]
    lines += [
        f"  {s.value.name} = state = {s.initial} : {s.value.type}{_note(s.value)}"
        for s in program.states
    ]
    lines += [f"  {_node(node)}" for node in program.nodes]
    function = f"  # {program.output_function}" if program.output_function else ""
    lines += [f"  output {program.output}{function}", "}"]
    return "\n".join(lines) + "\n"


def _const(const: Const) -> str:
    head = f"const {const.name} : {const.type}"
    if const.data.size <= INLINE_ELEMENTS:
        return f"{head} = {' '.join(map(str, const.data.ravel().tolist()))}"
    return f"{head} sha256={const.digest}"


def _node(node: Node) -> str:
    text = f"{node.result.name} = {node.op.mnemonic} {', '.join(node.op.operands)}"
    attributes = ", ".join(
        f"{name}={':'.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in node.op.attributes.items()
        if value != ()
    )
    if attributes:
        text += f" {{{attributes}}}"
    return f"{text} : {node.result.type}{_note(node.result)}"


def _note(value: Value) -> str:
    """Source and real-number meaning, as `key=value` behind a #."""
    parts: dict[str, str] = {}
    if value.source:
        parts |= {
            "module": value.source.module,
            "at": value.source.at,
            "node": value.source.node,
        }
    if value.meaning:
        parts |= {
            "scale": ":".join(map(repr, value.meaning.scale)),
            "zero": str(value.meaning.zero),
            "offset": ":".join(map(repr, value.meaning.offset)),
        }
    text = " ".join(f"{key}={quote(part, safe='/:.+-')}" for key, part in parts.items() if part)
    return f"  # {text}" if text else ""


def save_constants(program: Program, path: Path) -> None:
    """Write the constants that the text form names by digest, as an .npz."""
    large = {c.name[1:]: c.data for c in program.consts if c.data.size > INLINE_ELEMENTS}
    np.savez_compressed(path, **large)  # type: ignore[arg-type]  # the stub takes flags only


def save(program: Program, path: Path) -> None:
    """Write the text form to `path`, and the constants it names by digest beside it (.npz)."""
    path.write_text(to_text(program), encoding="utf-8")
    save_constants(program, path.with_suffix(".npz"))


def load_constants(path: Path) -> dict[str, Array]:
    """Constants by name, from the side file of a text form."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


_NAME = r"[\w.$-]+"
_HEAD = re.compile(rf"program @({_NAME})(?: sha256=([0-9a-f]*))? \{{")
_CONST = re.compile(rf"const @({_NAME}) : (.*?)(?: = ([-\d ]+)| sha256=([0-9a-f]+))")
_INPUT = re.compile(rf"(%{_NAME}) = input : ([^#]*?)(?:  # (.*))?")
_STATE = re.compile(rf"(%{_NAME}) = state = (-?\d+) : ([^#]*?)(?:  # (.*))?")
_NODE = re.compile(rf"(%{_NAME}) = (\w+) ([^{{:]*?)(?: \{{(.*?)\}})? : ([^#]*?)(?:  # (.*))?")
_OUTPUT = re.compile(rf"output (%{_NAME})(?:  # (\w+))?")


def parse(text: str, constants: Mapping[str, Array] | None = None) -> Program:
    """The program that `text` spells.

    Args:
        text: the text form.
        constants: data of the constants named by digest, by name without the @.

    Raises:
        McugenError: a line that is not of the form, an unknown op or attribute, a constant that is
            missing or has another digest. The program is not verified.
    """
    reader = _Reader(constants or {})
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                reader.read(stripped)
            except (McugenError, ValueError, TypeError) as error:
                what = error.faults[0].what if isinstance(error, McugenError) else str(error)
                raise fail("text", what, at=f"line {number}: {stripped[:120]}") from error
    return reader.program()


class _Reader:
    """Collects the parts of one program line by line."""

    def __init__(self, constants: Mapping[str, Array]) -> None:
        self.constants = constants
        self.head: tuple[str, str] | None = None
        self.inputs: list[Value] = []
        self.states: list[State] = []
        self.consts: list[Const] = []
        self.nodes: list[Node] = []
        self.output: tuple[str, str | None] | None = None

    def read(self, line: str) -> None:
        if match := _HEAD.fullmatch(line):
            self.head = (match[1], match[2] or "")
        elif match := _CONST.fullmatch(line):
            self.consts.append(self._constant(match))
        elif match := _INPUT.fullmatch(line):
            self.inputs.append(_value(match[1], match[2], match[3]))
        elif match := _STATE.fullmatch(line):
            value = _value(match[1], match[3], match[4])
            self.states.append(State(value, int(match[2])))
        elif match := _OUTPUT.fullmatch(line):
            self.output = (match[1], match[2])
        elif match := _NODE.fullmatch(line):
            op = _op(match[2], match[3], match[4])
            self.nodes.append(Node(_value(match[1], match[5], match[6]), op))
        elif line != "}":
            raise fail("text", "not a line of a program")

    def _constant(self, match: re.Match[str]) -> Const:
        name, kind = match[1], parse_type(match[2])
        shape = kind.shape
        if isinstance(kind.element, Planes):
            shape = (kind.element.count, *shape)
        if match[3] is not None:
            data = np.array([int(word) for word in match[3].split()], dtype=np.int64)
            return constant(name, data.reshape(shape), kind.element)
        if name not in self.constants:
            raise fail("text", f"constant @{name} is in no side file")
        const = constant(name, self.constants[name], kind.element)
        if const.digest != match[4]:
            raise fail("text", f"constant @{name} has another SHA-256 than the text names")
        return const

    def program(self) -> Program:
        if self.head is None or self.output is None or not self.inputs:
            raise fail("text", "a program needs its head, an input and an output")
        name, sha256 = self.head
        return Program(
            name,
            sha256,
            tuple(self.inputs),
            tuple(self.consts),
            tuple(self.nodes),
            *self.output,
            tuple(self.states),
        )


def _op(mnemonic: str, operands: str, attributes: str | None) -> Op:
    if mnemonic not in OPS:
        raise fail("text", f"unknown op '{mnemonic}'", help=f"known ops: {', '.join(OPS)}")
    kind = OPS[mnemonic]
    refs = [ref.strip() for ref in operands.split(",") if ref.strip()]
    arguments: dict[str, object] = {}
    for name, text in (item.split("=") for item in (attributes or "").split(", ") if item):
        values = tuple(int(word) for word in text.split(":"))
        arguments[name] = values
    takes = [item for item in fields(kind) if item.metadata.get("operand")]
    if len(takes) == 1 and takes[0].type == tuple[str, ...]:
        arguments[takes[0].name] = tuple(refs)
    elif len(refs) == len(takes):
        arguments |= {item.name: ref for item, ref in zip(takes, refs, strict=True)}
    else:
        raise fail("text", f"{mnemonic} takes {len(takes)} operands, not {len(refs)}")
    for item in fields(kind):
        value = arguments.get(item.name)
        if item.type is int and isinstance(value, tuple):
            (arguments[item.name],) = value
        elif value is None and item.default is MISSING:
            raise fail("text", f"{mnemonic} needs the attribute {item.name}")
    return kind(**arguments)


def _value(name: str, kind: str, note: str | None) -> Value:
    pairs = dict(part.split("=", 1) for part in (note or "").split())
    meaning = source = None
    if "scale" in pairs:
        meaning = Meaning(_floats(pairs["scale"]), int(pairs["zero"]), _floats(pairs["offset"]))
    if "node" in pairs:
        texts = {key: unquote(pairs.get(key, "")) for key in ("node", "module", "at")}
        source = Source(**texts)
    return Value(name, parse_type(kind), meaning, source)


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split(":"))
