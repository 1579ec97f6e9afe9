"""The stack bound: right where it exists, refused where it does not."""

from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.elf import disassemble
from mcugen.build.stack import StackBound, add_library, read_callgraph, worst_case
from mcugen.errors import McugenError
from mcugen.target.cores import core_named

_CALLS = """
#include <stdint.h>
#include <string.h>
__attribute__((noinline)) static uint32_t deep(uint32_t n)
{
    volatile uint32_t room[32];
    room[n & 31u] = n;
    return room[(n + 1u) & 31u];
}
__attribute__((noinline)) static uint32_t shallow(uint32_t n) { return n * 3u; }
uint32_t root(uint32_t n);
uint32_t root(uint32_t n) { return deep(n) + shallow(n); }
"""


def _bound(tmp_path: Path, source: str, root: str = "root", core: str = "cortex-m4") -> StackBound:
    """Compile and link `source` with libgcc and newlib alone, and bound `root`."""
    (tmp_path / "a.c").write_text(source)
    options = ["-Wno-conversion", "-Wno-infinite-recursion"]
    known = core_named(core)
    argv = gcc.compile_object(known, Path("a.c"), Path("a.o"), options=options)
    tools.run_checked(argv, cwd=tmp_path)
    link = [gcc.ARM_GCC, *known.gcc_flags, "-nostartfiles", "--specs=nano.specs"]
    tools.run_checked([*link, f"-Wl,-e,{root}", "a.o", "-o", "a.elf"], cwd=tmp_path)
    graph = read_callgraph([(tmp_path / "a.ci").read_text()])
    return worst_case(add_library(graph, disassemble(tmp_path / "a.elf")), root)


def test_deepest_chain_wins(tmp_path: Path) -> None:
    bound = _bound(tmp_path, _CALLS)
    assert [name for name, _ in bound.path] == ["root", "a.c:deep"]
    assert bound.bytes == sum(size for _, size in bound.path)
    assert 128 <= bound.bytes <= 128 + 32


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_library_functions_are_counted(tmp_path: Path, core: str) -> None:
    source = "#include <stdint.h>\nuint64_t root(uint64_t a, uint64_t b) { return a / b; }\n"
    bound = _bound(tmp_path, source, core=core)
    names = [name for name, _ in bound.path]
    assert names[:2] == ["root", "__aeabi_uldivmod"]
    assert "__udivmoddi4" in names
    assert 40 <= bound.bytes <= 160


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "int root(int n) { volatile int a = n; return n < 2 ? a : root(n - 1) * root(n - 2); }",
            "recursion: the stack has no bound\n  at  root → root",
        ),
        (
            "int odd(int n);\n"
            "__attribute__((noinline)) int root(int n) { return n == 0 ? 1 : odd(n - 1) + 1; }\n"
            "__attribute__((noinline)) int odd(int n) { return n == 0 ? 0 : root(n - 1) + 1; }",
            "recursion: the stack has no bound\n  at  root → odd → root",
        ),
        ("int root(int (*f)(int)) { return f(3) + 1; }", "'root' calls through a pointer"),
        (
            "void use(volatile char *x);\nvoid use(volatile char *x) { x[0] = 1; }\n"
            "int root(int n) { volatile char x[n]; use(x); return x[n - 1]; }",
            "frame of 'root' grows at run time",
        ),
    ],
    ids=["recursion", "mutual recursion", "pointer", "dynamic frame"],
)
def test_what_has_no_bound_is_refused(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(McugenError) as caught:
        _bound(tmp_path, source)
    assert words in str(caught.value)


def test_unknown_function_is_refused() -> None:
    graph = read_callgraph(
        [
            r'node: { title: "root" label: "root\na.c:1:1\n8 bytes (static)" }',
            'edge: { sourcename: "root" targetname: "elsewhere" label: "a.c:2:2" }',
        ]
    )
    with pytest.raises(McugenError, match=r"stack of 'elsewhere' unknown\n  at  call in 'root'"):
        worst_case(graph, "root")
