"""A trained float network whose scores are part of another one's loss."""

from pathlib import Path

import torch
from torch import Tensor

from mcugen.errors import fail
from mcugen.train import loop, zoo

METHOD = "float Options(activation='relu', normalize=False)"  # as checkpoints are marked


def scores(path: Path, samples: loop.Samples, classes: int) -> Tensor:
    """What the network of a float run's checkpoint says of each sample, `[N, classes]`.

    It need not be the network that is going to be trained. The images are seen as they are, even
    where training changes them.

    Raises McugenError for a file that is no checkpoint of a float run with default options, or one
    on other images.
    """
    try:
        state = torch.load(path, weights_only=True)
        method, _, rest = state["identity"].partition(" model=")
        if method != METHOD:
            raise ValueError(f"it is of {method}")
        model = zoo.build(rest.split()[0], samples.shape, classes)
        model.load_state_dict(state["model"])
    except Exception as error:  # torch.load raises anything on a damaged file
        lines = str(error).strip().splitlines()
        raise fail(
            "train",
            "cannot learn from this teacher",
            at=str(path),
            got=f"{type(error).__name__}: {lines[0] if lines else ''}",
            help="mcugen train float --model … --checkpoint FILE makes one",
        ) from error
    return loop.scores(model, samples)
