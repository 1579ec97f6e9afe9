"""mcugen: quantized PyTorch models as static-memory C for Cortex-M, proved equal to the model."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mcugen.quant.export import export

__all__ = ["__version__", "export"]


def __getattr__(name: str) -> Any:
    # `mcugen.export` needs torch; everything else must start without it.
    if name == "export":
        from mcugen.quant.export import export

        return export
    raise AttributeError(f"module 'mcugen' has no attribute {name!r}")
