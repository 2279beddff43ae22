from __future__ import annotations

import argparse
import re

import pytest

from sim.evaluate import lists

BITS = "must be numbers and rising ranges from 1 to 16, such as 2,4-8; not "


@pytest.mark.parametrize(
    ("take", "text", "found"),
    [
        (lists.names, "lr, ir,lr", ("lr", "ir")),
        (lists.choices("count", "lut"), "lut,count", ("lut", "count")),
        (lists.widths, "1-3,8,2,hawq-v3/latency-0.75,b.json", ("1", "2", "3", "8", "hawq-v3/latency-0.75", "b.json")),
        (lists.widths, "hawq-v3/int8", ("hawq-v3/int8",)),
        (lists.whole_numbers(1, 16), "8,2-4,3", (8, 2, 3, 4)),
        (lists.whole_numbers(1, 16), "16-16", (16,)),
        (lists.positive_number, "0.5", 0.5),
        (lists.positive_numbers, "1,0.6,1.0", (1.0, 0.6)),
        (lists.setting, "write_cell=0.5,1", ("write_cell", (0.5, 1.0))),
    ],
)
def test_taken(take: lists.Callable[[str], object], text: str, found: object) -> None:
    assert take(text) == found


@pytest.mark.parametrize(
    ("take", "text", "error"),
    [
        (lists.names, "", "must be a list parted by commas without empty entries, not ''"),
        (lists.names, "lr,,ir", "must be a list parted by commas without empty entries, not 'lr,,ir'"),
        (lists.choices("count", "lut"), "lot", "must be one of count, lut, not 'lot'; the nearest is 'lut'"),
        (lists.widths, "8-1", f"{BITS}'8-1'"),
        (lists.widths, "0-4", f"{BITS}'0-4'"),
        (lists.widths, "4-17", f"{BITS}'4-17'"),
        (lists.whole_numbers(1, 16), "17", f"{BITS}'17'"),
        (lists.whole_numbers(1, 16), "4,x", f"{BITS}'x'"),
        (lists.positive_numbers, "1,0", "must be a number above 0, not '0'"),
        (lists.positive_numbers, "inf", "must be a number above 0, not 'inf'"),
        (lists.positive_number, "one", "must be a number above 0, not 'one'"),
        (lists.setting, "write_cell", "must be NAME=VALUE with one or more numbers, not 'write_cell'"),
        (lists.setting, "write_cell=", "must be NAME=VALUE with one or more numbers, not 'write_cell='"),
        (lists.setting, "write_cell=x", "must be NAME=VALUE with one or more numbers, not 'write_cell=x'"),
        (lists.setting, "=1", "must be NAME=VALUE with one or more numbers, not '=1'"),
    ],
)
def test_refused(take: lists.Callable[[str], object], text: str, error: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{re.escape(error)}$"):
        take(text)
