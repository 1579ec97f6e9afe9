"""Emitting C: names, templates, manifest, and the folder they go to."""

from mcugen.emit.folder import write
from mcugen.emit.model import Emitted, emit

__all__ = ["Emitted", "emit", "write"]
