"""Residual networks as torchvision has them (arXiv:1512.03385), for pictures of 224 x 224 pixels.

Layers have the names that HAWQ gives them: ``stage1.unit1.conv1`` and so on, ``.down`` for the 1x1 convolution beside a
unit that changes the size.  A unit's narrow input is ``.quantize``, which is there only with a residual width.
"""

from __future__ import annotations

from sim.networks.description import (
    INPUT,
    Addition,
    AveragePooling,
    Convolution,
    DescribedNetwork,
    Flattening,
    LayerDescription,
    MaxPooling,
    Quantisation,
)

__all__ = ["residual_network", "resnet18", "resnet50"]

_NORMALISED = 2  # scale and shift of a batch normalisation, for each channel
_STAGE_CHANNELS = (64, 128, 256, 512)
_BOTTLENECK = 4  # a bottleneck's output has as many times the channels of its 3x3 convolution


def resnet18() -> DescribedNetwork:
    """ResNet18, 1.814 GMAC."""
    return residual_network("resnet18", (2, 2, 2, 2), bottleneck=False)


def resnet50() -> DescribedNetwork:
    """ResNet50 v1.5, which has a unit's stride in its 3x3 convolution, 4.089 GMAC.

    In the original, and in HAWQ's, the stride is in the first 1x1 convolution (3.858 GMAC); layers, names and
    parameters are the same.
    """
    return residual_network("resnet50", (3, 4, 6, 3), bottleneck=True)


def residual_network(
    name: str, units: tuple[int, ...], *, bottleneck: bool, stride_first: bool = False, size: int = 224
) -> DescribedNetwork:
    """A residual network of four stages and 1,000 classes.

    Parameters
    ----------
    name : of the network.
    units : in each stage.
    bottleneck : units of a 1x1, a 3x3 and a 1x1 convolution, not of two of 3x3.
    stride_first : a bottleneck's stride is in its first convolution, not in its second.
    size : height and width of a picture.
    """
    layers: list[LayerDescription] = [
        Convolution("conv1", (INPUT,), (7, 7), (2, 2), (3, 3), channels=64, learnt_per_channel=_NORMALISED),
        MaxPooling("maxpool", ("conv1",), (3, 3), (2, 2), (1, 1)),
    ]
    channels_in = 64
    for stage, (count, width) in enumerate(zip(units, _STAGE_CHANNELS, strict=True), 1):
        for index in range(1, count + 1):
            stride = 2 if stage > 1 and index == 1 else 1
            kernels = ((1, width), (3, width), (1, width * _BOTTLENECK)) if bottleneck else ((3, width), (3, width))
            strided = 1 if bottleneck and not stride_first else 0
            strides = tuple(stride if position == strided else 1 for position in range(len(kernels)))
            down = stride > 1 or kernels[-1][1] != channels_in
            layers += _unit(f"stage{stage}.unit{index}", layers[-1].name, kernels, strides, down=down)
            channels_in = kernels[-1][1]
    return DescribedNetwork(
        name,
        (size, size, 3),
        (
            *layers,
            AveragePooling("avgpool", (layers[-1].name,)),
            Flattening("flatten", ("avgpool",)),
            Convolution("fc", ("flatten",), channels=1000, relu=False, op="fully_connected"),
        ),
    )


def _unit(
    name: str, source: str, kernels: tuple[tuple[int, int], ...], strides: tuple[int, ...], *, down: bool
) -> list[LayerDescription]:
    """The layers of a unit; ``kernels`` are (size, channels) of its convolutions, ``down`` that its input needs one."""
    narrow = Quantisation(f"{name}.quantize", (source,))
    layers: list[LayerDescription] = [narrow]
    for index, ((kernel, channels), stride) in enumerate(zip(kernels, strides, strict=True), 1):
        layers.append(
            Convolution(
                f"{name}.conv{index}",
                (layers[-1].name,),
                (kernel, kernel),
                (stride, stride),
                (kernel // 2, kernel // 2),
                channels=channels,
                relu=index < len(kernels),
                learnt_per_channel=_NORMALISED,
            )
        )
    last, shortcut = layers[-1].name, source
    if down:
        stride = max(strides)
        shortcut = f"{name}.down"
        layers.append(
            Convolution(
                shortcut,
                (narrow.name,),
                stride=(stride, stride),
                channels=kernels[-1][1],
                relu=False,
                learnt_per_channel=_NORMALISED,
            )
        )
    layers.append(Addition(f"{name}.add", (shortcut, last)))
    return layers
