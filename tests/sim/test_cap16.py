"""``cap16``, 4,800 rows x 16 columns: enough for dot products, and a plain refusal of everything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import pytest

from golden.engine import Job
from golden.laws import run_law
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program, StoreKind
from hw.verilog import TOP
from sim import cli
from sim.host import Network
from sim.mapping import MappingError
from sim.models import data_file, load_model
from sim.rtl_engine import RtlEngine
from sim.verilog_cache import cached_tile_verilog

CAP16 = CONFIGS["cap16"]
CAT = str(data_file("cifar10/cifar10_00_3.png"))
WIDTHS = [(8, 8, True), (4, 12, False), (1, 1, True)]


def dot_program(a_width: int, b_width: int, signed: bool) -> Program:
    """Totals of the dot products of unsigned numbers with (un)signed ones that fill at most 16 columns."""
    return Program.build(
        [
            Instruction(Opcode.LOAD, d=0, d_width=a_width),
            Instruction(Opcode.LOAD, d=a_width, d_width=b_width),
            Instruction(Opcode.INIT),
            Instruction(Opcode.SYNC),
            Instruction(Opcode.DOT, a=0, a_width=a_width, b=a_width, b_width=b_width, b_signed=signed),
            Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=CAP16.total_bits),
            Instruction(Opcode.HALT),
        ],
        CAP16,
    )


def totals(planes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    """Two's complement numbers from planes, bit 0 first."""
    weights = [1 << bit for bit in range(len(planes) - 1)] + [-(1 << (len(planes) - 1))]
    return [sum(int(bit) * weight for bit, weight in zip(column, weights, strict=True)) for column in planes.T]


@pytest.fixture(scope="module", params=["icarus", "verilator"])
def engine(request: pytest.FixtureRequest) -> Iterator[RtlEngine]:
    with RtlEngine(CAP16, request.param) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.parametrize(("a_width", "b_width", "signed"), WIDTHS)
def test_dot_products(engine: RtlEngine, a_width: int, b_width: int, signed: bool) -> None:
    rng = np.random.default_rng([a_width, b_width])
    a = rng.integers(0, 1 << a_width, (CAP16.taps, CAP16.outputs))
    b = rng.integers(0, 1 << b_width, (CAP16.taps, CAP16.outputs)) - (signed << (b_width - 1))
    planes = [
        (numbers.reshape(-1) >> np.arange(width)[:, None] & 1).astype(np.uint8)  # row i * outputs + s
        for numbers, width in ((a, a_width), (b, b_width))
    ]
    program = dot_program(a_width, b_width, signed)
    outcome = engine.run(Job(program, planes))
    assert (outcome.error, outcome.address) == (ErrorCode.NONE, 0)
    assert totals(outcome.planes[0]) == (a * b).sum(axis=0).tolist()
    golden = GoldenTile(CAP16).run(Job(program, planes))
    assert np.array_equal(outcome.planes[0], golden.planes[0])
    law = {name: value for name, value in run_law(program, CAP16).items() if not name.startswith("identity.")}
    assert {name: outcome.counters[name] for name in law} == law
    # A compare for each pair of bits; the law names the constant, the pipeline of the responder counters.
    assert outcome.counters["events.compares"] == a_width * b_width
    assert outcome.counters["cycles.compute"] - a_width * b_width == 3


@pytest.mark.slow
def test_verilog_has_the_ports_of_a_whole_plane() -> None:
    text = cached_tile_verilog(CAP16)
    assert f"module {TOP}(" in text
    assert re.search(rf"input \[{CAP16.rows - 1}:0\] plane_in__payload;", text)
    assert re.search(rf"output \[{CAP16.rows - 1}:0\] plane_out__payload;", text)


def columns_asked(config: TileConfig) -> int:
    """Columns that the error of a config with too few of them says would do for ResNet-8; 0 when it fits."""
    try:
        Network(load_model("resnet8"), config)
    except MappingError as error:
        # A layer may need fewer columns than the whole network; then the text names both numbers.
        found = re.search(r"(\d+) columns would do", str(error)) or re.search(r"columns of at least (\d+)", str(error))
        assert found is not None
        return int(found[1])
    return 0


def assert_refused(captured: tuple[str, str]) -> None:
    assert captured[0] == ""
    pattern = r"bfimna: error: layer '\w+' needs columns of at least \d+, config cap16 has 16\b.*\n"
    assert re.fullmatch(pattern, captured[1])


@pytest.mark.parametrize("name", ["golden", "model"])
def test_resnet8_is_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "resnet8", "--input", CAT, "--config", "cap16", "--engine", name]) == 2
    assert_refused(capfd.readouterr())


def test_resnet8_is_refused_before_the_hardware_is_built(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the hardware was built")

    monkeypatch.setattr("sim.rtl_engine.build", refuse)
    monkeypatch.setattr("sim.rtl_engine.cached_tile_verilog", refuse)
    assert cli.main(["run", "resnet8", "--input", CAT, "--config", "cap16", "--engine", "rtl"]) == 2
    assert_refused(capfd.readouterr())


def test_the_refusal_names_columns_that_would_do() -> None:
    columns = columns_asked(CAP16)
    assert columns > CAP16.columns
    assert columns_asked(CAP16.replace(columns=columns)) == 0
    assert columns_asked(CAP16.replace(columns=columns - 1)) == columns
