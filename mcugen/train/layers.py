"""Settings of single layers: read from an option, told in one line."""

from collections.abc import Iterable, Mapping

from mcugen.errors import fail


def parse(text: str, unit: str) -> dict[str, tuple[int, int | None]]:
    """`"conv2=4/4,fc1=1"` as {name: (for the weights, for the input or None)}.

    `unit` is what the numbers count. Raises McugenError for anything else.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, numbers = part.partition("=")
        weight, slash, activation = numbers.partition("/")
        if not (equals and weight.isdecimal() and activation.isdecimal() == bool(slash)):
            raise fail(
                "train",
                f"layer {unit} are not understood",
                got=repr(part),
                want=f"NAME=WEIGHT_{unit.upper()}/ACTIVATION_{unit.upper()}",
            )
        found[name.strip()] = (int(weight), int(activation) if slash else None)
    return found


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises McugenError for a name that is no layer's."""
    for name in names:
        if name not in known:
            raise fail("train", "no layer of this name", got=repr(name), want=", ".join(known))


def describe(labels: Mapping[str, str], unit: str) -> str:
    """A label per layer in one line; the most frequent label is that of the "others"."""
    groups: dict[str, list[str]] = {}
    for name, label in labels.items():
        groups.setdefault(label, []).append(name)
    common = max(groups, key=lambda label: len(groups[label]))
    parts = [f"{' '.join(names)} {label}" for label, names in groups.items() if label != common]
    parts.append(f"{'others' if parts else 'all layers'} {common}")
    return f"input u8; {unit} of weights/activations: {', '.join(parts)}"
