"""The archive reader gives what PyTorch exported, bit for bit; all else is a clear error."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import McugenError
from mcugen.frontend.archive import read_archive
from mcugen.frontend.graph import ExportedGraph, Meta, Ref
from tests.frontend.hostile.builders import changed, edited
from tests.frontend.nets import NETS, make, save


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the convolutional network."""
    folder = tmp_path_factory.mktemp("plain")
    return save(make("convolutional"), NETS["convolutional"][1], folder / "plain.pt2")


class Function(nn.Module):
    """A function as a module, with a layer and a buffer to play with."""

    def __init__(self, function: Callable[["Function", Tensor], object]) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 4)
        self.register_buffer("state", torch.ones(4))

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


def read(function: Callable[[Function, Tensor], object], folder: Path) -> ExportedGraph:
    return read_archive(save(Function(function).eval(), (4,), folder / "m.pt2"))


def message(path: Path) -> str:
    with pytest.raises(McugenError) as caught:
        read_archive(path)
    assert caught.value.stage in ("archive", "model")
    return str(caught.value)


@pytest.mark.parametrize("name", NETS)
def test_tensors_equal_the_modules_bit_for_bit(name: str, tmp_path: Path) -> None:
    module = make(name)
    graph = read_archive(save(module, NETS[name][1], tmp_path / "m.pt2"))
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert set(own) <= set(graph.qualified.values())
    for key, qualified in graph.qualified.items():
        found = graph.tensors[key]
        assert graph.metas[key] == Meta(found.shape, found.dtype.name)
        assert not found.flags.writeable
        if qualified in own:
            want = own[qualified].detach().numpy()
            assert found.dtype == want.dtype
            assert found.tobytes() == want.tobytes()


def test_the_graph_is_the_one_pytorch_loads(plain: Path) -> None:
    graph = read_archive(plain)
    program = torch.export.load(plain)
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    assert [f"torch.ops.{node.target}" for node in graph.nodes] == [
        f"torch.ops.{node.target}" for node in nodes
    ]
    assert [node.outputs for node in graph.nodes] == [(node.name,) for node in nodes]
    for node in nodes:
        value = node.meta["val"]
        assert graph.metas[node.name] == Meta(tuple(value.shape), str(value.dtype)[6:])
    assert graph.inputs == ("x",)
    assert graph.outputs == (nodes[-1].name,)


def test_arguments_have_their_schema_names(plain: Path) -> None:
    nodes = {node.target: node for node in read_archive(plain).nodes}
    assert nodes["aten.conv2d.default"].arguments == {
        "input": Ref("x"),
        "weight": Ref("p_conv_weight"),
        "bias": Ref("p_conv_bias"),
        "stride": (1, 1),
        "padding": (1, 1),
    }
    assert nodes["aten.conv2d.padding"].arguments["padding"] == "same"
    assert nodes["aten.dropout.default"].arguments["train"] is False
    assert nodes["aten.pad.default"].arguments["value"] == 0.25


def test_sources_name_module_and_line_of_the_user(plain: Path) -> None:
    sources = {node.target: node.source for node in read_archive(plain).nodes}
    lines = Path(__file__).with_name("nets.py").read_text().splitlines()
    assert sources["aten.conv2d.default"].module == "conv"
    assert sources["aten._weight_norm.default"].module == "head"  # not head.parametrizations…
    for target, text in (("aten.conv2d.default", "self.conv(x)"), ("aten.pad.default", "pad(x")):
        file, line = sources[target].at.split(":")
        assert file == "nets.py"
        assert text in lines[int(line) - 1]


@pytest.mark.parametrize(
    "dtype",
    ["float16", "bfloat16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"],
)
def test_reads_every_element_type(dtype: str, tmp_path: Path) -> None:
    kind = getattr(torch, dtype)
    values = (torch.arange(-6, 6).reshape(3, 4) * 1.5).to(kind)
    module = Function(lambda self, x: self.layer(x) + self.state.float())
    module.state = values[:1, :].clone()
    graph = read_archive(save(module, (4,), tmp_path / "m.pt2"))
    want = module.state.float() if dtype == "bfloat16" else module.state
    np.testing.assert_array_equal(graph.tensors["b_state"], want.numpy())
    assert graph.metas["b_state"].dtype == dtype
    assert graph.tensors["b_state"].dtype == want.numpy().dtype


def test_reads_views_of_shared_memory(tmp_path: Path) -> None:
    module = Function(lambda self, x: x @ self.rows.t() + self.column + self.scalar)
    base = torch.randn(6, 10)
    module.register_buffer("rows", base[1:5, 2:6].t())
    module.register_buffer("column", base[:4, 3])
    module.register_buffer("scalar", base[5, 9])
    graph = read_archive(save(module, (4,), tmp_path / "m.pt2"))
    for name in ("rows", "column", "scalar"):
        np.testing.assert_array_equal(graph.tensors[f"b_{name}"], getattr(module, name).numpy())


def test_reads_tied_weights_and_repeated_modules(tmp_path: Path) -> None:
    first, second, third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    module = nn.Sequential(first, second, third, third)
    graph = read_archive(save(module, (4,), tmp_path / "m.pt2"))
    weights = [node.arguments["weight"] for node in graph.nodes]
    assert weights[0] == weights[1] != weights[2] == weights[3]
    assert all("@" not in node.source.module for node in graph.nodes)


def test_infinite_arguments_and_several_results(tmp_path: Path) -> None:
    graph = read(lambda self, x: x.clamp(max=float("inf")).chunk(2, 1)[1], tmp_path)
    assert graph.nodes[0].arguments["max"] == float("inf")
    assert graph.nodes[1].outputs == ("getitem", "getitem_1")
    assert graph.outputs == ("getitem_1",)


def test_later_uses_of_an_overwritten_tensor_read_the_new_value(tmp_path: Path) -> None:
    def forward(self: Function, x: Tensor) -> Tensor:
        y = self.layer(x)
        z = y.relu_()
        y.add_(1)
        return y + z

    graph = read(forward, tmp_path)
    assert graph.nodes[-1].arguments == {"self": Ref("add_"), "other": Ref("add_")}


def overwrite_view(self: Function, x: Tensor) -> Tensor:
    y = self.layer(x)
    y.view(2, 2).relu_()
    return y


def overwrite_before_view_is_read(self: Function, x: Tensor) -> Tensor:
    y = self.layer(x)
    view = y.view(2, 2)
    y.relu_()
    return view


def overwrite_newer_view(self: Function, x: Tensor) -> Tensor:
    y = self.layer(x)
    y.relu_().view(2, 2).add_(1)
    return y


@pytest.mark.parametrize(
    "forward", [overwrite_view, overwrite_before_view_is_read, overwrite_newer_view]
)
def test_refuses_to_guess_through_shared_memory(
    forward: Callable[[Function, Tensor], Tensor], tmp_path: Path
) -> None:
    with pytest.raises(McugenError, match="overwrites a tensor that is still used"):
        read(forward, tmp_path)


def under_no_grad(self: Function, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = self.layer(x)
    return y + x


def count_calls(self: Function, x: Tensor) -> Tensor:
    self.state.view(4).add_(1)
    return self.layer(x)


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda self, x: x.relu_() + 1, "overwrites the model's state or input"),
        (count_calls, "aten.add_.Tensor on state"),
        (under_no_grad, "control flow inside the graph"),
        (
            lambda self, x: torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,)),
            "torch.ops.higher_order.cond",
        ),
        (lambda self, x: x * self.state.sum().item(), "a number is taken out of a tensor"),
        (lambda self, x: (self.layer(x), 3), "an output of the model is not a tensor"),
    ],
)
def test_refuses_what_is_no_pure_graph(
    forward: Callable[[Function, Tensor], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(McugenError) as caught:
        read(forward, tmp_path)
    assert words in str(caught.value)
    assert "help:" in str(caught.value)


def test_dynamic_shapes_are_one_error_with_its_cure(tmp_path: Path) -> None:
    options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    program = torch.export.export(module, (torch.zeros(3, 4),), **options)
    torch.export.save(program, tmp_path / "m.pt2")
    assert message(tmp_path / "m.pt2") == (
        "error: the model has dynamic shapes\n"
        "  at  m.pt2\n"
        "  got  input [?, 4], linear [?, 4], relu [?, 4]\n"
        "  help: export with a fixed batch of 1 and without dynamic_shapes"
    )


def test_parameters_that_are_not_finite_are_all_named(tmp_path: Path) -> None:
    module = nn.Linear(4, 2)
    with torch.no_grad():
        module.weight[0, 1] = float("nan")
        module.bias[1] = float("inf")
    found = message(save(module, (4,), tmp_path / "m.pt2"))
    assert "parameter weight is not finite" in found
    assert "1 of 8 values" in found
    assert "parameter bias is not finite" in found


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_says_what_a_file_is_that_is_no_archive(tmp_path: Path, plain: Path) -> None:
    path = tmp_path / "m.pt2"
    assert "cannot read the model file" in message(path)
    assert "not a file" in message(tmp_path)
    assert "an empty file" in message(write(path, b""))
    assert "not a .pt2 archive" in message(write(path, b"hello"))
    assert "TensorFlow Lite" in message(write(path, b"\x1c\0\0\0TFL3" + bytes(50)))
    data = plain.read_bytes()
    assert "truncated or damaged" in message(write(path, data[: len(data) // 2]))
    torch.save({"a": torch.ones(2)}, path)
    assert "a file of torch.save" in message(path)
    torch.save({"a": 1}, path, _use_new_zipfile_serialization=False)
    assert "a pickle, as torch.save writes" in message(path)
    assert "torch.export.save(" in message(path)
    torch.jit.save(torch.jit.trace(nn.Linear(4, 4), torch.zeros(1, 4)), path)
    assert "a TorchScript file" in message(path)


def set_at(entry: str, *keys: str | int, value: object) -> Callable[[bytes], bytes]:
    """An edit of one field of a JSON entry."""

    def edit(document: object) -> None:
        for key in keys[:-1]:
            document = document[key]  # type: ignore[index]
        document[keys[-1]] = value  # type: ignore[index]

    return lambda data: edited(data, entry, edit)


MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
GRAPH = (MODEL, "graph_module", "graph")
META = (*GRAPH, "tensor_values", "p_conv_weight")
FIRST = (WEIGHTS, "config", "conv.weight")
SIZES = [{"as_int": 2**16}, {"as_int": 2**16}]


def with_duplicate(data: bytes) -> bytes:
    return data.replace(b"data/weights/weight_1", b"data/weights/weight_0")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (set_at(MODEL, "schema_version", "major", value=9), "schema version is not supported"),
        (lambda data: changed(data, archive_version=b"1"), "archive_version is not supported"),
        (lambda data: changed(data, archive_format=b"pt3"), "archive_format is not supported"),
        (lambda data: changed(data, byteorder=b"big"), "not written on a little-endian machine"),
        (lambda data: changed(data, archive_format=None), "a zip file without archive_format"),
        (lambda data: changed(data, **{MODEL: None}), "the archive holds no model"),
        (lambda data: changed(data, **{"models/b.json": b"{}"}), "holds several models"),
        (lambda data: changed(data, **{WEIGHTS: None}), "an entry is missing"),
        (lambda data: changed(data, **{"data/weights/weight_0": None}), "an entry is missing"),
        (lambda data: changed(data, **{"data/weights/weight_0": b"123"}), "outside its bytes"),
        (lambda data: changed(data, **{"data/weights/model.pt": b""}), "unpickling runs code"),
        (lambda data: changed(data, **{MODEL: b"[" * 100_000}), "nested too deeply"),
        (lambda data: changed(data, **{MODEL: b"[" * 99 + b"]" * 99}), "nested too deeply"),
        (lambda data: changed(data, **{MODEL: b'{"a": NaN}'}), "not valid JSON"),
        (lambda data: changed(data, **{MODEL: b'{"a": 1, "a": 2}'}), "a key occurs twice"),
        (lambda data: changed(data, **{MODEL: b"\xff\xfe"}), "not valid JSON"),
        (lambda data: changed(data, **{MODEL: b"9" * 5000}), "not valid JSON"),
        (with_duplicate, "two entries have the same name"),
        (lambda data: data.replace(b'{"aten": 10}', b'{"aten": 11}'), "an entry is damaged"),
        (set_at(*META, "sizes", value=SIZES), "a tensor is too large"),
        (set_at(*META, "sizes", value=[{"as_int": 0}]), "a tensor has no elements"),
        (set_at(*META, "sizes", value=[{"as_int": -1}]), "not an integer in its range"),
        (set_at(*META, "sizes", value=[{"as_int": True}]), "not an integer in its range"),
        (set_at(*META, "sizes", value=[{"as_int": 4}]), "two descriptions of a tensor differ"),
        (set_at(*META, "dtype", value=29), "an element type is not supported"),
        (set_at(*META, "layout", value=1), "sparse or packed"),
        (set_at(*FIRST, "tensor_meta", "storage_offset", "as_int", value=1), "outside its bytes"),
        (set_at(*FIRST, "tensor_meta", "storage_offset", "as_int", value=-1), "in its range"),
        (set_at(*FIRST, "tensor_meta", "strides", value=[]), "not one stride per axis"),
        (set_at(*FIRST, "path_name", value="../constants/tensor_0"), "an entry is missing"),
        (set_at(*FIRST, "path_name", value="/etc/passwd"), "an entry is missing"),
        (set_at(*FIRST, "use_pickle", value=1), "a field has the wrong type"),
        (set_at(*GRAPH, "nodes", 0, "target", value="os.system"), "no PyTorch operator"),
        (set_at(*GRAPH, "nodes", 0, "name", value="a;b"), "no identifier"),
        (set_at(*GRAPH, "nodes", 0, "inputs", 0, "arg", "as_tensor", "name", value="relu_"), "use"),
        (set_at(*GRAPH, "nodes", 1, "outputs", 0, "as_tensor", "name", value="x"), "twice"),
        (set_at(*GRAPH, "nodes", 0, "inputs", 0, "arg", value={"as_graph": {}}), "of a kind"),
        (set_at(*GRAPH, "nodes", 0, "inputs", value=None), "a field has the wrong type"),
        (set_at(*GRAPH, "tensor_values", value={}), "has no shape"),
    ],
)
def test_each_fault_is_one_clear_error(
    spoil: Callable[[bytes], bytes], words: str, plain: Path, tmp_path: Path
) -> None:
    found = message(write(tmp_path / "m.pt2", spoil(plain.read_bytes())))
    assert words in found
    assert found.startswith("error: ")
    assert "m.pt2" in found
    assert len(found) < 2000


def test_deeper_faults_name_entry_and_field(plain: Path, tmp_path: Path) -> None:
    spoil = set_at(*META, "sizes", 1, "as_int", value="2")
    found = message(write(tmp_path / "m.pt2", spoil(plain.read_bytes())))
    field = "graph_module.graph.tensor_values.p_conv_weight.sizes[1].as_int"
    assert f"m.pt2: models/model.json: {field}" in found


def test_expanded_tensors_are_counted_before_memory_is_taken(plain: Path, tmp_path: Path) -> None:
    sizes = [{"as_int": 2**15}, {"as_int": 2**15}]

    def spoil(document: object, *path: str) -> None:
        for key in path:
            document = document[key]  # type: ignore[index]
        document["sizes"] = sizes  # type: ignore[index]
        document["strides"] = [{"as_int": 0}, {"as_int": 0}]  # type: ignore[index]

    data = edited(plain.read_bytes(), MODEL, lambda document: spoil(document, *META[1:]))
    weights = (*FIRST[1:], "tensor_meta")
    data = edited(data, WEIGHTS, lambda document: spoil(document, *weights))
    assert "take too much memory" in message(write(tmp_path / "m.pt2", data))


def test_no_pytorch_is_imported_and_reading_is_quick(plain: Path) -> None:
    code = (
        "import sys, json, pathlib, mcugen.frontend.archive as a;"
        "g = a.read_archive(pathlib.Path(sys.argv[1]));"
        "print(json.dumps([len(g.nodes), 'torch' in sys.modules, 'pickle' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, plain], capture_output=True, check=True)
    nodes, with_torch, _ = json.loads(done.stdout)
    assert nodes > 10
    assert not with_torch
