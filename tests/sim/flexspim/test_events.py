"""Events as words, against the events that a macro finds in them."""

from __future__ import annotations

import numpy as np
import pytest

from golden.flexspim.layer import Layer, scan
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EVENT_END, EventKind, MacroOpcode, instruction
from sim.flexspim.events import address_words, bitmap_words, channel_shift, line_words
from tests.macros import FULL, TINY


def layer(height: int, width: int, channels: int, words: int) -> Layer:
    inputs = instruction(
        MacroOpcode.INPUT,
        height=height, width=width, channels=channels, channel_shift=channel_shift(channels), line_words=words,
    )  # fmt: skip
    return Layer(inputs, instruction(MacroOpcode.OUTPUT), 1, 1)


def test_a_map_by_hand() -> None:
    spikes = np.zeros((2, 3, 3), np.bool_)
    spikes[0, 1, 2] = spikes[1, 0, 0] = spikes[1, 2, 1] = True
    assert channel_shift(3) == 2
    assert bitmap_words(spikes, TINY) == [1 << 6, 1 | 1 << 9]
    assert address_words([(0, 1, 2), (1, 2, 1)], 3) == [6, 1 << 20 | 9, 1 << EVENT_END]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 2), (2, 9, 5), (1, 1, 300), (4, 33, 1), (2, 3, 64)])
@pytest.mark.parametrize("config", [TINY, FULL], ids=lambda config: config.name)
def test_events_come_back_in_order(shape: tuple[int, int, int], config: MacroConfig) -> None:
    spikes = np.random.default_rng(sum(shape)).random(shape) < 0.3
    words = line_words(shape[1], shape[2], config)
    one = layer(*shape, words)
    expected = [(y, x, channel) for y, x, channel in np.argwhere(spikes).tolist()]
    bitmap = bitmap_words(spikes, config)
    assert len(bitmap) == shape[0] * words
    for kind, given in ((EventKind.BITMAP, bitmap), (EventKind.ADDRESSES, address_words(expected, shape[2]))):
        events, empty, used = scan(one, kind, given, config)
        assert [(event.y, event.x, event.channel) for event in events] == expected
        assert used == len(given)
        assert all(one.holds(event) for event in events)
        skipped = empty + sum(event.empty for event in events)
        assert skipped == (1 if kind is EventKind.ADDRESSES else sum(not word for word in bitmap))


def test_words_that_are_missing() -> None:
    with pytest.raises(ValueError, match=r"^a bitmap must have 2 words, not 1$"):
        scan(layer(2, 1, 1, 1), EventKind.BITMAP, [0], TINY)
    with pytest.raises(ValueError, match=r"^addresses must end with a word that says so$"):
        scan(layer(2, 1, 1, 1), EventKind.ADDRESSES, [0], TINY)
