"""How feature maps are cut into sets on a fabric: sizes alone."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from sim.mapping.builder import equal_parts

__all__ = ["MapCut", "WindowCut", "cut_map"]


@dataclass(frozen=True)
class MapCut:
    """A map whose S-bit words hold whole rows, or parts of a row that is wider than S.

    Parameters
    ----------
    height, width, channels, bits : of the map.
    rows : whole rows of a set, a power of two, as :mod:`hw.accelerator` stores them; 1 where a row has several sets.
    pieces : sets of a row, of nearly equal width; 1 where sets hold whole rows.
    images : maps of a batch, each in sets of its own.
    """

    height: int
    width: int
    channels: int
    bits: int
    rows: int
    pieces: int
    images: int = 1

    @property
    def image_sets(self) -> int:
        """Sets of one map."""
        return -(-self.height // self.rows) * self.pieces

    @property
    def sets(self) -> int:
        """Sets of all maps."""
        return self.images * self.image_sets

    @property
    def blocks(self) -> int:
        """Sets of single channels: S stored numbers each."""
        return self.sets * self.channels

    @property
    def words(self) -> int:
        """S-bit words of all maps."""
        return self.blocks * self.bits

    @property
    def set_rows(self) -> int:
        """Rows of a set that are worth forming."""
        return min(self.rows, self.height)


def cut_map(size: tuple[int, int, int], bits: int, outputs: int, batch: int = 1) -> MapCut:
    """How the maps of a batch are cut into sets of at most ``outputs`` numbers.

    Maps of a single pixel lie side by side, as if they were the pixels of one map.
    """
    height, width, channels = size
    images = batch
    if height == width == 1:
        width, images = batch, 1
    if width > outputs:
        return MapCut(height, width, channels, bits, 1, -(-width // outputs), images)
    rows = 1
    while 2 * rows * width <= outputs and rows < height:
        rows *= 2
    return MapCut(height, width, channels, bits, rows, 1, images)


@dataclass(frozen=True)
class WindowCut:
    """Windows of a layer, as a gather unit forms them.

    Parameters
    ----------
    source, target : input and output map.
    kernel, stride, padding : of the window, (vertical, horizontal).
    """

    source: MapCut
    target: MapCut
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def words_per_row(self) -> int:
        """S-bit words that one row of a window plane touches: 1 where rows of the input are words."""
        source, target = self.source, self.target
        if source.images != target.images:  # numbers side by side in the output are of as many images
            return -(-target.width // target.pieces)
        if source.pieces == 1:
            return 1
        edges = [part.start for part in equal_parts(source.width, source.pieces)]
        most = 1
        for part in equal_parts(target.width, target.pieces):
            for offset in range(-self.padding[1], self.kernel[1] - self.padding[1]):
                first, last = part.start * self.stride[1] + offset, (part.stop - 1) * self.stride[1] + offset
                first, last = max(first, 0), min(last, source.width - 1)
                most = max(most, bisect_right(edges, last) - bisect_right(edges, first) + 1)
        return most

    @property
    def plane_cycles(self) -> int:
        """Cycles in which a gather unit forms a plane of windows: one for each word of each row of outputs."""
        return self.target.set_rows * self.words_per_row

    def input_sets(self, sets: range) -> range:
        """Sets of the input that output sets need."""
        if not sets:
            return range(0)
        source, target = self.source, self.target
        if source.images != target.images:  # maps side by side become one, or the other way round
            return range(source.sets)
        (first_image, first), (last_image, last) = (
            divmod(number, target.image_sets) for number in (sets.start, sets.stop - 1)
        )
        top = first // target.pieces * target.rows * self.stride[0] - self.padding[0]
        bottom = min((last // target.pieces + 1) * target.rows, target.height) - 1
        bottom = bottom * self.stride[0] - self.padding[0] + self.kernel[0] - 1
        top, bottom = max(0, top), min(source.height - 1, bottom)
        return range(
            first_image * source.image_sets + top // source.rows * source.pieces,
            last_image * source.image_sets + (bottom // source.rows + 1) * source.pieces,
        )
