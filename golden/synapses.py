"""Which input of a spiking layer is joined to which neuron by which weight: convolutions and fully connected layers.

Maps are (height, width, channels) arrays. The **address** of an input or of a neuron is its index in C order:
``(y * width + x) * channels + channel``. A fully connected layer is a convolution whose kernel is as large as its
input, without padding: it has one place, (0, 0), with a channel for each neuron.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.graph import Integers

__all__ = ["SpikingError", "Synapses"]


class SpikingError(ValueError):
    """A spiking layer or network that cannot be; its text is one line."""


@dataclass(frozen=True, kw_only=True)
class Synapses:
    """The shape of a spiking layer.

    Parameters
    ----------
    name : of the layer, for reports and errors.
    input_shape : height, width and channels of what comes in, each at least 1.
    channels : output channels, at least 1.
    kernel : height and width of the window, at least 1, at most the padded input.
    stride : rows and columns between windows, at least 1.
    padding : rows above and below, and columns left and right, that never have events; at least 0.

    Raises
    ------
    SpikingError
        If a size is outside of its range.
    """

    name: str
    input_shape: tuple[int, int, int]
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        sizes = {
            "input height": (self.input_shape[0], 1),
            "input width": (self.input_shape[1], 1),
            "input channels": (self.input_shape[2], 1),
            "output channels": (self.channels, 1),
            "kernel height": (self.kernel[0], 1),
            "kernel width": (self.kernel[1], 1),
            "vertical stride": (self.stride[0], 1),
            "horizontal stride": (self.stride[1], 1),
            "vertical padding": (self.padding[0], 0),
            "horizontal padding": (self.padding[1], 0),
        }
        for what, (value, least) in sizes.items():
            if value < least:
                raise SpikingError(f"layer {self.name!r}: {what} must be at least {least}, got {value}")
        for axis, what in enumerate(("height", "width")):
            most = self.input_shape[axis] + 2 * self.padding[axis]
            if self.kernel[axis] > most:
                raise SpikingError(
                    f"layer {self.name!r}: kernel {what} must be at most that of the padded input, {most}, "
                    f"got {self.kernel[axis]}"
                )

    @classmethod
    def fully_connected(cls, name: str, input_shape: tuple[int, int, int], neurons: int) -> Synapses:
        """Return the shape of a layer that joins every input to every neuron; raises :class:`SpikingError`."""
        return cls(name=name, input_shape=input_shape, channels=neurons, kernel=input_shape[:2])

    @property
    def op(self) -> str:
        """``fully_connected``, or ``conv2d`` where not every input is joined to every neuron."""
        whole = self.kernel == self.input_shape[:2] and self.padding == (0, 0)
        return "fully_connected" if whole else "conv2d"

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the neurons."""
        height, width = (
            (self.input_shape[axis] + 2 * self.padding[axis] - self.kernel[axis]) // self.stride[axis] + 1
            for axis in (0, 1)
        )
        return height, width, self.channels

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Output channels, height and width of the kernel, input channels."""
        return self.channels, *self.kernel, self.input_shape[2]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(np.prod(self.input_shape))

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.output_shape))

    @property
    def weights(self) -> int:
        """Number of weights."""
        return int(np.prod(self.weight_shape))

    @cached_property
    def fan_out(self) -> Integers:
        """Neurons that an event at each input reaches, as an array of the input's shape."""
        rows, columns = (
            np.array([len(self.places(position, axis)[0]) for position in range(self.input_shape[axis])])
            for axis in (0, 1)
        )
        reached = rows[:, np.newaxis] * columns * self.channels
        return np.repeat(reached[:, :, np.newaxis], self.input_shape[2], axis=2)

    @property
    def synapses(self) -> int:
        """Joined pairs of an input and a neuron: the synaptic operations of a timestep in which every input spikes."""
        return int(self.fan_out.sum())

    def places(self, position: int, axis: int) -> tuple[range, range]:
        """Return where the windows are that hold a row or a column of the input, and where in the kernel it is there.

        Parameters
        ----------
        position : of the row (*axis* 0) or column (*axis* 1), from 0.
        axis : 0 or 1.

        Returns
        -------
        tuple of range
            Rows or columns of neurons, ascending; and of the kernel for each of them. Both may be empty.
        """
        stride, padded = self.stride[axis], position + self.padding[axis]
        first = max(0, -(-(padded - self.kernel[axis] + 1) // stride))
        last = min(self.output_shape[axis] - 1, padded // stride)
        found = range(first, last + 1)
        start = padded - first * stride
        return found, range(start, start - stride * len(found), -stride)
