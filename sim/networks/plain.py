"""AlexNet and VGG16, as torchvision has them, for pictures of 224 x 224 pixels.

Their adaptive average pools (to 6 x 6 and 7 x 7) change nothing at this size and are left out, as dropout is.
"""

from __future__ import annotations

from sim.networks.description import (
    INPUT,
    Convolution,
    DescribedNetwork,
    Flattening,
    LayerDescription,
    MaxPooling,
)

__all__ = ["alexnet", "vgg16"]

_PICTURE = (224, 224, 3)
_ALEXNET = ((64, 11, 4, 2, True), (192, 5, 1, 2, True), (384, 3, 1, 1, False), (256, 3, 1, 1, False),
            (256, 3, 1, 1, True))  # fmt: skip
"""Channels, kernel, stride and padding of each convolution, and whether a max pool follows."""

_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the convolutions of each block."""

_CLASSIFIER = (4096, 4096, 1000)


def alexnet() -> DescribedNetwork:
    """AlexNet in torchvision's variant (A. Krizhevsky, arXiv:1404.5997), 0.714 GMAC."""
    layers: list[LayerDescription] = []
    source = INPUT
    for index, (channels, kernel, stride, padding, pooled) in enumerate(_ALEXNET, 1):
        layers.append(
            Convolution(
                f"conv{index}", (source,), (kernel, kernel), (stride, stride), (padding, padding), channels=channels
            )
        )
        source = layers[-1].name
        if pooled:
            layers.append(MaxPooling(f"pool{index}", (source,), kernel=(3, 3), stride=(2, 2)))
            source = layers[-1].name
    return DescribedNetwork("alexnet", _PICTURE, (*layers, *_classifier(source)))


def vgg16() -> DescribedNetwork:
    """VGG16, configuration D without batch normalisation (arXiv:1409.1556), 15.47 GMAC."""
    layers: list[LayerDescription] = []
    source = INPUT
    for block, (channels, count) in enumerate(_VGG16, 1):
        for index in range(1, count + 1):
            layers.append(Convolution(f"conv{block}_{index}", (source,), (3, 3), padding=(1, 1), channels=channels))
            source = layers[-1].name
        layers.append(MaxPooling(f"pool{block}", (source,), kernel=(2, 2), stride=(2, 2)))
        source = layers[-1].name
    return DescribedNetwork("vgg16", _PICTURE, (*layers, *_classifier(source)))


def _classifier(source: str) -> list[LayerDescription]:
    """The three fully connected layers, of which the last gives logits."""
    layers: list[LayerDescription] = [Flattening("flatten", (source,))]
    for index, channels in enumerate(_CLASSIFIER, 6):
        layers.append(
            Convolution(f"fc{index}", (layers[-1].name,), channels=channels, relu=index < 8, op="fully_connected")
        )
    return layers
