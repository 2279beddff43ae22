from __future__ import annotations

import dataclasses
import io
import json
import re

import pytest

from sim.report import (
    Bits,
    Cycles,
    InputReport,
    LayerReport,
    RunReport,
    WallSeconds,
    differences,
    json_text,
    print_run,
    run_json,
)

CONV = LayerReport(
    name="conv1",
    op="conv2d",
    macs=442368,
    bits=Bits(activation=8, weight=8),
    mode="count",
    utilisation=0.9,
    start=0,
    end=1234,
    cycles=Cycles(total=1234, law=1230, load=200, compute=1000, reduce=0, requantize=20, store=10, stall=4),
    events={"compares": 7, "writes": 3},
    bit_exact=True,
)
POOL = LayerReport(
    name="pool1",
    op="avgpool",
    macs=0,
    bits=Bits(activation=8),
    start=1234,
    end=1334,
    cycles=Cycles(total=100, law=100, compute=100),
    bit_exact=True,
)
RUN = RunReport(
    model="resnet8",
    engine="rtl",
    simulator="verilator 5.048",
    seed=1,
    config_hash="0123456789abcdef",
    config={"name": "cap", "rows": 4800, "columns": 128, "plane_bits": 4800},
    mode="count",
    inputs=[InputReport(file="cat.png", top1=3, logits=[-5, 12], label="cat")],
    layers=[CONV, POOL],
    wall_s=WallSeconds(build=1.0, simulate=2.0, total=3.5),
)


def printed(report: RunReport) -> str:
    stream = io.StringIO()
    print_run(report, stream)
    return stream.getvalue()


def test_json_has_the_documented_shape() -> None:
    found = json.loads(json_text(run_json(RUN)))
    assert list(found) == [
        "schema", "bfimna", "model", "engine", "simulator", "seed", "config_hash", "config", "mode", "inputs", "layers",
        "total", "wall_s",
    ]  # fmt: skip
    assert found["schema"] == 1
    assert found["inputs"] == [
        {
            "file": "cat.png",
            "top1": 3,
            "logits": [-5, 12],
            "label": "cat",
            "expected": None,
            "expected_label": None,
        }
    ]
    conv, pool = found["layers"]
    assert set(conv) == {
        "name", "op", "macs", "bits", "mode", "utilisation", "start", "end", "cycles", "events", "energy_pj",
        "bit_exact", "started_from",
    }  # fmt: skip
    assert conv["bits"] == {"activation": 8, "weight": 8}
    assert pool["bits"] == {"activation": 8, "weight": None}
    parts = ("load", "compute", "reduce", "requantize", "store", "stall")
    assert set(conv["cycles"]) == {"total", "law", *parts}
    assert sum(conv["cycles"][part] for part in parts) == conv["cycles"]["total"]
    assert found["total"] == {"cycles": 1334, "law": 1330, "macs": 442368, "energy_pj": None}
    assert found["wall_s"] == {
        "build": 1.0, "simulate": 2.0, "total": 3.5, "jobs": 1, "cluster": None, "resumed_layers": 0,
        "cycles_per_second": None, "hardware": None, "hardware_cycles_per_second": None,
    }  # fmt: skip


def test_energy_is_the_sum_when_every_layer_has_one() -> None:
    layers = [dataclasses.replace(layer, energy_pj=1.5) for layer in RUN.layers]
    assert dataclasses.replace(RUN, layers=layers).energy_pj == 3.0
    assert dataclasses.replace(RUN, layers=[layers[0], POOL]).energy_pj is None


def test_a_note_is_told_to_people_and_to_programs() -> None:
    noted = dataclasses.replace(RUN, note="weights are random")
    assert "\nweights are random\n" in printed(noted)
    assert "\ncat.png: class 3 (cat), which means nothing\n" in printed(noted)
    assert run_json(noted)["note"] == "weights are random"


def test_run_without_layers() -> None:
    assert dataclasses.replace(RUN, layers=[]).cycles == 0


def test_makespan_of_overlapping_layers() -> None:
    overlapping = dataclasses.replace(POOL, start=1200, end=1300)
    assert dataclasses.replace(RUN, layers=[CONV, overlapping]).cycles == 1300


def test_no_differences() -> None:
    assert differences(RUN) == []


def test_differences() -> None:
    wrong = dataclasses.replace(CONV, bit_exact=False, cycles=dataclasses.replace(CONV.cycles, law=1231, compute=999))
    assert differences(dataclasses.replace(RUN, layers=[wrong])) == [
        "conv1: the output differs from the integer operators",
        "conv1: 1,230 cycles without stalls, the law says 1,231",
        "conv1: the parts add up to 1,233 cycles, not 1,234",
    ]


def test_table() -> None:
    text = printed(RUN)
    assert text.startswith(
        "resnet8 on rtl (verilator 5.048), config cap: 4,800 rows x 128 columns, P=4800, mode count, seed 1\n"
    )
    heads = ("layer", "op", "MACs", "bits", "cycles", "load", "compute", "requant", "store", "stall", "law", "used")
    rows = {
        "conv1": "conv2d 442,368 8x8 1,234 200 1,000 20 10 4 1,230 90% yes",
        "pool1": "avgpool 8 100 0 100 0 0 0 100 yes",
        "total": "442,368 1,334 200 1,100 20 10 4 1,330 yes",
    }
    lines = [line.split() for line in text.splitlines()]
    assert [*heads, "exact"] in lines
    for name, row in rows.items():
        assert [name, *row.split()] in lines
    assert "\ncat.png: class 3 (cat)\n" in text
    assert text.endswith("time: 3.5 s, of it 1.0 s building and 2.0 s simulating\n")
    assert "\x1b" not in text


@pytest.mark.parametrize(("exact", "told"), [(None, "-"), (False, "NO")])
def test_exactness(exact: bool | None, told: str) -> None:
    text = printed(dataclasses.replace(RUN, layers=[dataclasses.replace(POOL, bit_exact=exact)]))
    assert re.search(rf"^ *pool1 .* {told} *$", text, re.MULTILINE)
    assert re.search(rf"^ *total .* {told} *$", text, re.MULTILINE)
    assert text.rstrip().endswith(
        "DIFFERENCE pool1: the output differs from the integer operators" if exact is False else "simulating"
    )
