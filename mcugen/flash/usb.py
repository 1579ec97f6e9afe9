"""Debug probes on the USB tree, for the tools that do not list them."""

from pathlib import Path

from mcugen.flash.tool import Probe

#: Where Linux shows the tree to everybody.
SYSFS = Path("/sys/bus/usb/devices")

#: Kind → vendors whose probes it covers, and words in the product's name.
_KINDS = {
    "ST-LINK": ("0483", ("st-link", "stlink")),
    "J-Link": ("1366", ("j-link", "jlink")),
    "CMSIS-DAP": (None, ("cmsis-dap",)),
}


def probes(kind: str) -> tuple[Probe, ...] | None:
    """The connected probes of one kind, by serial number; None where the system shows no tree."""
    if not SYSFS.is_dir():
        return None
    vendor, words = _KINDS[kind]
    found = []
    for device in SYSFS.iterdir():
        product = _read(device / "product")
        right_vendor = vendor is None or _read(device / "idVendor") == vendor
        if right_vendor and any(word in product.lower() for word in words):
            found.append(Probe(_read(device / "serial") or None, product))
    return tuple(sorted(found, key=str))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
