"""Makes the models of this folder. Run `python tests/models/make.py [NAME …]`.

Run it from the repository root: source lines in the archives are relative to the current folder.
"""

import sys
from pathlib import Path

import torch

from mcugen.train import TrainConfig, bernoulli, lq, method
from mcugen.train.uniform import Options

HERE = Path("tests/models")
MODELS = {
    "lenet_w8a8": ("lenet", "mnist", 4, Options(bits=8)),
    "lenet_w4a4": ("lenet", "mnist", 6, Options(bits=4)),
    "lenet_mixed": ("lenet", "mnist", 6, Options(bits=8, layer_bits="conv2=4/4,fc1=1/1")),
    "lenet_binary": ("lenet", "mnist", 10, Options(bits=1)),
    # The int8 version of the next one.
    "bits4k_int8": ("bits4k", "mnist", 6, Options(bits=8, post_training=True)),
    "bernoulli": ("bits4k", "mnist", 28, bernoulli.Options(normal=True)),
    "lenet_planes1": ("lenet", "mnist", 5, lq.Options(planes=1, layer_planes="conv1=2")),
    "lenet_planes2": ("lenet", "mnist", 5, lq.Options(planes=2)),
    "lenet_planes3": ("lenet", "mnist", 5, lq.Options(planes=3, activation="tanh")),
    "digits_mlp": ("mlp", "digits", 20, Options(bits=8)),
    "digits_resnet": ("resnet", "digits", 20, Options(bits=8)),
    "digits_dscnn": ("dscnn", "digits", 30, Options(bits=8)),
}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)  # sums in another order give other weights
    for name in names or MODELS:
        model, data, epochs, options = MODELS[name]
        config = TrainConfig(model, data, HERE / f"{name}.pt2", epochs=epochs)
        result = method(type(options).__module__.rpartition(".")[2]).train(config, options)
        print(f"{name}: {100 * result.accuracy:.2f} % in {result.seconds:.0f} s; {result.summary}")


if __name__ == "__main__":
    main(sys.argv[1:])
