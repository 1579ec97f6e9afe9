"""Archives as an attacker would write them, made from an honest one.

Each builder takes the bytes of a `.pt2` and a path; where the attack runs, a file appears there.
"""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
Build = Callable[[bytes, Path], bytes]


class Touch:
    """Unpickling an instance creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def entries(data: bytes) -> tuple[str, dict[str, bytes]]:
    """Root folder and content of an archive by the names below the root."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = archive.namelist()[0].split("/")[0]
        return root, {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def archive(root: str, content: dict[str, bytes], compress: tuple[str, ...] = ()) -> bytes:
    """A zip file of entries below a root; those named in `compress` are deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, raw in content.items():
            method = zipfile.ZIP_DEFLATED if name in compress else zipfile.ZIP_STORED
            out.writestr(zipfile.ZipInfo(f"{root}/{name}"), raw, method)
    return file.getvalue()


def changed(data: bytes, **content: bytes | None) -> bytes:
    """The archive with entries added or replaced, or left out where None."""
    root, old = entries(data)
    new = {**old, **content}
    return archive(root, {name: raw for name, raw in new.items() if raw is not None})


def edited(data: bytes, entry: str, edit: Callable[[Any], object]) -> bytes:
    """The archive with `edit` applied to the JSON document in an entry."""
    document = json.loads(entries(data)[1][entry])
    edit(document)
    return changed(data, **{entry: json.dumps(document).encode()})


def torch_zip(payload: object) -> bytes:
    """What `torch.save` would write for any object, without PyTorch."""
    content = {"data.pkl": pickle.dumps(payload, 2), "version": b"3\n", "byteorder": b"little"}
    return archive("archive", content)


def pickled_samples(data: bytes, marker: Path) -> bytes:
    """A pickle where the sample inputs are."""
    return changed(data, **{"data/sample_inputs/model.pt": torch_zip(Touch(marker))})


def pickled_weight(data: bytes, marker: Path) -> bytes:
    """A weight that says it is pickled."""
    name = "data/weights/weight_0"
    data = changed(data, **{name: torch_zip(Touch(marker))})
    return edited(data, WEIGHTS, lambda document: _first(document).update(use_pickle=True))


def pickled_constant(data: bytes, marker: Path) -> bytes:
    """An opaque object among the constants."""
    data = changed(data, **{"data/constants/opaque_obj_0": pickle.dumps(Touch(marker))})
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
    item = {"evil": {**entry, "tensor_meta": None}}
    return edited(data, CONSTANTS, lambda document: document["config"].update(item))


def python_in_sizes(data: bytes, marker: Path) -> bytes:
    """A size whose expression is Python."""
    code = f"open({str(marker)!r}, 'w')"

    def edit(document: Any) -> None:
        graph = document["graph_module"]["graph"]
        size = {"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}
        graph["tensor_values"]["x"]["sizes"][0] = size

    return edited(data, MODEL, edit)


def native_library(data: bytes, marker: Path) -> bytes:
    """A compiled model beside the graph."""
    library = b"\x7fELF" + bytes(200)
    return changed(data, **{"data/aotinductor/model/model.so": library})


def escaping_names(data: bytes, marker: Path) -> bytes:
    """Entries that an extraction would write outside its folder."""
    root, content = entries(data)
    content[f"../../{marker.name}"] = b"escaped"
    return archive(root, content)


def zip_bomb(data: bytes, marker: Path) -> bytes:
    """A graph that unpacks to a thousand times its size."""
    root, content = entries(data)
    content[MODEL] = bytes(100 * 2**20)
    return archive(root, content, compress=(MODEL,))


#: The seven attacks of the project's scoreboard, and how the reader answers them: with an error
#: that contains this text, or by reading the honest part (None).
ATTACKS: dict[Build, str | None] = {
    pickled_samples: None,
    pickled_weight: "unpickling runs code",
    pickled_constant: "unpickling runs code",
    python_in_sizes: "the model has dynamic shapes",
    native_library: None,
    escaping_names: "an entry's name leaves the archive",
    zip_bomb: "an entry unpacks to far more than its size",
}


def _first(document: Any) -> dict[str, Any]:
    return next(iter(document["config"].values()))
