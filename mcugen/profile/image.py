"""A bare program from generated C: the model, one context, no start-up code, for any core."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mcugen import tools
from mcugen.build.gcc import ARM_GCC, SECTIONS, WARNINGS
from mcugen.emit.manifest import Manifest
from mcugen.errors import fail
from mcugen.interrupts import scratch_folder
from mcugen.resources import data_root
from mcugen.target.cores import Core

#: As in the firmware: newlib-nano for memcpy and the like, and warnings of the linker are errors.
_LINK = (
    "-nostartfiles",
    "--specs=nano.specs",
    "-Wl,--gc-sections",
    "-Wl,--fatal-warnings",
    "-Wl,--build-id=none",
)


def image_argv(
    folder: Path, manifest: Manifest, core: Core, output: Path, flags: Sequence[str]
) -> list[str]:
    """The compiler's command line; `flags` follow the standard ones, so that they win."""
    bare = data_root() / "firmware" / "bare"
    sources = [folder / name for name in manifest.files if name.endswith(".c")]
    return [
        ARM_GCC,
        *core.gcc_flags,
        *WARNINGS,
        "-O2",
        *SECTIONS,
        *(f"-I{folder}", f"-DMODEL_NAME={manifest.name}", *flags),
        *map(str, (*sources, bare / "harness.c")),
        *_LINK,
        f"-T{bare / 'bare.ld'}",
        "-o",
        str(output),
    ]


def build_image(folder: Path, manifest: Manifest, core: Core, *, flags: Sequence[str] = ()) -> Path:
    """Compile the C in `folder`, an output of `mcugen generate`, for `core`.

    The program lies in `folder/build/profile` under the hash of all that it is made from; what is
    there already is taken. `flags`: more for the compiler, such as `-DMODEL_LAYER_HOOK=f` or `-Os`.

    Raises:
        McugenError: no compiler, a file of the manifest is missing, or the C does not compile
            without a warning.
    """
    tools.require(ARM_GCC)
    builds = folder / "build" / "profile"
    image = builds / f"{core.name}-{_digest(folder, manifest, core, flags)[:16]}.elf"
    if image.is_file():
        return image
    builds.mkdir(parents=True, exist_ok=True)
    # Two processes may build the same image: each writes its own file, the last rename wins.
    with scratch_folder(builds) as scratch:
        unfinished = scratch / image.name
        tools.run_checked(image_argv(folder, manifest, core, unfinished, flags))
        os.replace(unfinished, image)
    return image


def _digest(folder: Path, manifest: Manifest, core: Core, flags: Sequence[str]) -> str:
    """SHA-256 over compiler version, command line and every file that goes in."""
    bare = data_root() / "firmware" / "bare"
    version = tools.run_checked([ARM_GCC, "--version"]).stdout
    command = image_argv(folder, manifest, core, Path("image.elf"), flags)
    parts = [version.encode(), "\0".join(command).encode()]
    paths = [folder / name for name in sorted(manifest.files)]
    for path in (*paths, bare / "harness.c", bare / "bare.ld"):
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            raise fail("profile", f"cannot read '{path}': {error.strerror}") from error
    joined = hashlib.sha256()
    for part in parts:
        joined.update(hashlib.sha256(part).digest())
    return joined.hexdigest()
