"""Layers whose windows a gather unit forms: what a convolution and a max pool have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from golden.accelerator.windows import GatherJob
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE
from sim.accelerator.layout import MapGeometry
from sim.mapping.errors import MappingError

__all__ = ["WindowLayer", "WindowLoop", "check_window"]


@dataclass(frozen=True)
class WindowLoop:
    """What of the windows comes in each round.

    Parameters
    ----------
    first_group : of channels, of the first round.
    group_step : from a round to the next one.
    groups : of each window position.
    tiles : tap tiles of a round.
    """

    first_group: int
    group_step: int
    groups: int
    tiles: int


@dataclass(frozen=True)
class WindowLayer(ABC):
    """A layer of windows.

    Parameters
    ----------
    name : of the layer.
    source, target : input and output map.
    kernel, stride, padding, pad_value : of the window.
    """

    name: str
    source: MapGeometry
    target: MapGeometry
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    pad_value: int

    def input_sets(self, sets: range) -> range:
        """The sets of the input that output sets need."""
        if not sets:
            return range(0)
        first = sets.start * self.target.rows
        last = min(sets.stop * self.target.rows, self.target.height) - 1
        top = max(0, first * self.stride[0] - self.padding[0])
        bottom = min(self.source.height - 1, last * self.stride[0] - self.padding[0] + self.kernel[0] - 1)
        if bottom < top:
            return range(0)
        return range(top // self.source.rows, bottom // self.source.rows + 1)

    @abstractmethod
    def loop(self, channel: int) -> WindowLoop:
        """What comes in rounds of which the first one makes output channels from ``channel`` on."""

    def gather_job(self, base: int, sets: range, rounds: int, channel: int, receivers: int) -> GatherJob:
        """What the gather unit does for output sets; ``channel`` is the lowest output channel of the first round."""
        source, target, loop = self.source, self.target, self.loop(channel)
        return GatherJob(
            base=base,
            width=source.width,
            height=source.height,
            rows_log2=source.rows_log2,
            planes=source.bits,
            channel_groups=source.stored_groups,
            kernel_height=self.kernel[0],
            kernel_width=self.kernel[1],
            stride_y=self.stride[0],
            stride_x=self.stride[1],
            pad_top=self.padding[0],
            pad_left=self.padding[1],
            pad_value=self.pad_value,
            out_width=target.width,
            out_rows=target.set_rows,
            first_row=sets.start * target.rows,
            sets=len(sets),
            rounds=rounds,
            first_group=loop.first_group,
            group_step=loop.group_step,
            groups=loop.groups,
            tiles=loop.tiles,
            receivers=receivers,
        )


def check_window(
    name: str, kernel: tuple[int, int], steps: tuple[int, int], padding: tuple[int, int], outputs: tuple[int, int]
) -> tuple[int, int]:
    """Refuse windows that a gather unit cannot form; returns the stride, 1 where there is a single one of ``outputs``.

    Raises
    ------
    MappingError
        The text names the layer and the quantity.
    """
    height, width = (1 if size == 1 else step for size, step in zip(outputs, steps, strict=True))
    stride = (height, width)
    limits = (
        ("a kernel", kernel, LARGEST_KERNEL),
        ("a stride", stride, LARGEST_STRIDE),
        ("a padding", padding, LARGEST_KERNEL),
    )
    for quantity, sides, most in limits:
        if max(sides) > most:
            raise MappingError(
                f"layer {name!r} must have {quantity} of at most {most} on an accelerator, not {sides[0]} x {sides[1]}"
            )
    return stride
