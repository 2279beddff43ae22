from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest

from sim.cache_pruning import prune
from sim.runner import (
    AssertionPrinted,
    Build,
    BuildFailed,
    NoTestsRan,
    SimulatorCrashed,
    TestsFailed,
    build,
    run,
)
from sim.tools import SIMULATORS

BENCH = Path(__file__).with_name("bench_counter.py")

COUNTER = """
module counter(input wire clk, input wire rst, input wire bad, output reg [7:0] count);
  reg [7:0] hidden;
  always @(posedge clk) begin
    hidden <= 8'd42;
    if (rst) count <= 0;
    else count <= count + 1;
    if (bad) $display("ERROR: counter.v:7: Assertion violation");
  end
endmodule
"""

both = pytest.mark.parametrize("simulator", SIMULATORS)


@pytest.fixture(scope="module", params=SIMULATORS)
def counter(request: pytest.FixtureRequest) -> Build:
    return build(COUNTER, "counter", request.param)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("BFIMNA_CACHE", str(folder))
    return folder


TWO_COUNTERS = (
    COUNTER.replace("module counter", "module block")
    + """
module counter(input wire clk, input wire rst, input wire bad, output wire [7:0] count);
  wire [7:0] other;
  wire [7:0] same;
  block one (.clk(clk), .rst(rst), .bad(bad), .count(same));
  block two (.clk(clk), .rst(rst), .bad(bad), .count(other));
  assign count = same & other;
endmodule
"""
)


def test_blocks_are_compiled_once_each(tmp_path: Path) -> None:
    built = build(TWO_COUNTERS, "counter", "verilator", blocks=["block"])
    assert built.key != build(TWO_COUNTERS, "counter", "verilator").key
    assert (built.folder / "Vblock").is_dir()
    assert run(built, BENCH, testcase="counts", folder=tmp_path).tests == ("counts",)
    # Icarus has no such thing.
    icarus = [build(TWO_COUNTERS, "counter", "icarus", blocks=blocks) for blocks in ((), ("block",))]
    assert icarus[0].key == icarus[1].key


def test_passing(counter: Build, tmp_path: Path) -> None:
    result = run(counter, BENCH, testcase="counts", folder=tmp_path)
    assert result.tests == ("counts",)
    assert result.results_xml == tmp_path / "results.xml"
    assert "counts" in result.log.read_text()
    assert result.seconds > 0


def test_dotted_module_and_several_tests(counter: Build, tmp_path: Path) -> None:
    result = run(counter, "tests.sim.bench_counter", testcase=["counts", "seeded"], folder=tmp_path)
    assert result.tests == ("counts", "seeded")


def test_failing(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(
        TestsFailed, match=r"^bench_counter on \w+: 1 of 2 tests failed\nfails: .*the counter is not at 99"
    ) as caught:
        run(counter, BENCH, testcase=["counts", "fails"], folder=tmp_path)
    assert caught.value.log == tmp_path / "sim.log"
    assert str(tmp_path / "sim.log") in str(caught.value)


def test_name_that_matches_nothing(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(NoTestsRan, match=r"^bench_counter on \w+: no test ran \(0 skipped\)\n"):
        run(counter, BENCH, testcase="no_such_test", folder=tmp_path)


ONLY_SKIPPED = """
import cocotb

@cocotb.test(skip=True)
async def skipped(dut):
    pass
"""


@pytest.mark.parametrize(("text", "skipped"), [("", 0), (ONLY_SKIPPED, 1)])
def test_module_in_which_no_test_runs(counter: Build, tmp_path: Path, text: str, skipped: int) -> None:
    module = tmp_path / "idle_bench.py"
    module.write_text(text)
    with pytest.raises(NoTestsRan, match=rf"^idle_bench on \w+: no test ran \({skipped} skipped\)\n"):
        run(counter, module, folder=tmp_path / "run")


def test_missing_module(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^test module /\S+/nothing\.py does not exist$"):
        run(counter, tmp_path / "nothing.py", folder=tmp_path)


def test_crash(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(SimulatorCrashed, match=r"^bench_counter on \w+: the simulator was ended by SIGABRT"):
        run(counter, BENCH, testcase="crashes", folder=tmp_path)


def test_timeout(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(SimulatorCrashed, match=r"(?s)^bench_counter on \w+: .*SIGKILL.*killed after 1 seconds$"):
        run(counter, BENCH, testcase="sleeps", folder=tmp_path, timeout=1)


def test_cancel(counter: Build, tmp_path: Path) -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    with pytest.raises(SimulatorCrashed, match=r"^bench_counter on \w+: the simulator was ended by SIGKILL"):
        run(counter, BENCH, testcase="sleeps", folder=tmp_path, timeout=60, cancel=cancel)
    assert cancel.is_set()
    with pytest.raises(SimulatorCrashed, match=r"(?s)killed after 1 seconds$"):
        run(counter, BENCH, testcase="sleeps", folder=tmp_path, timeout=1, cancel=threading.Event())


def test_assertion_that_icarus_only_prints(tmp_path: Path) -> None:
    built = build(COUNTER, "counter", "icarus")
    with pytest.raises(
        AssertionPrinted, match=r"^bench_counter on icarus: an assertion of the design failed: ERROR: counter\.v:7: .*"
    ):
        run(built, BENCH, testcase="breaks_an_assertion", folder=tmp_path)


@pytest.mark.parametrize("hidden_by", ["COCOTB_TEST_FILTER", "COCOTB_RANDOM_SEED", "WAVES"])
def test_environment_of_this_process_changes_nothing(
    counter: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden_by: str
) -> None:
    monkeypatch.setenv(hidden_by, "1")
    result = run(
        counter, BENCH, testcase=["counts", "seeded"], seed=7, environment={"BENCH_SEED": "7"}, folder=tmp_path
    )
    assert result.tests == ("counts", "seeded")


def test_only_ports_are_public_in_verilator(tmp_path: Path) -> None:
    run(build(COUNTER, "counter", "verilator"), BENCH, testcase="hidden_is_hidden", folder=tmp_path / "a")
    shown = build(COUNTER, "counter", "verilator", public=[("counter", "hidden")])
    run(shown, BENCH, testcase="hidden_is_shown", folder=tmp_path / "b")


@pytest.mark.parametrize(
    ("simulator", "kind"),
    [pytest.param("verilator", "vcd", marks=pytest.mark.slow), ("icarus", "vcd"), ("icarus", "fst")],
)
def test_waves(simulator: str, kind: Literal["vcd", "fst"], tmp_path: Path) -> None:
    built = build(COUNTER, "counter", simulator, waves=kind)
    result = run(built, BENCH, testcase="counts", waves=tmp_path / f"my.{kind}", folder=tmp_path / "run")
    assert result.waves == tmp_path / f"my.{kind}"
    content = (tmp_path / f"my.{kind}").read_bytes()
    assert len(content) > 100
    if kind == "vcd":
        assert b" count " in content
    run(built, BENCH, testcase="counts", folder=tmp_path / "quiet")
    assert not [file for file in (tmp_path / "quiet").iterdir() if file.suffix in {".vcd", ".fst"}]
    with pytest.raises(ValueError, match=rf"^waves 'x\.wlf' must end in \.{kind}, as the build records it$"):
        run(built, BENCH, waves=tmp_path / "x.wlf")


def test_waves_need_a_build_with_waves(counter: Build, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^waves 'x\.vcd' need a build with waves$"):
        run(counter, BENCH, waves=tmp_path / "x.vcd")


@pytest.mark.usefixtures("cache")
@both
def test_design_that_does_not_compile(simulator: str) -> None:
    for _ in range(2):  # the second time as well: a failed build is not taken for a finished one
        with pytest.raises(BuildFailed, match=rf"(?s)^broken does not compile on {simulator} \S+ .*syntax error"):
            build("module broken(; endmodule", "broken", simulator)


def test_build_is_reused_and_redone(cache: Path, tmp_path: Path) -> None:
    first = build(COUNTER, "counter", "icarus")
    assert not first.reused
    assert first.folder.parent == cache / "builds"
    assert build(COUNTER, "counter", "icarus").reused
    file = tmp_path / "counter.v"
    file.write_text(COUNTER)
    assert build([file], "counter", "icarus").folder == first.folder
    assert build(COUNTER + "\n", "counter", "icarus").folder != first.folder
    assert build(COUNTER, "counter", "icarus", waves="vcd").folder != first.folder
    (first.folder / "complete.json").unlink()  # as if it had been interrupted
    (first.folder / "sim.vvp").write_text("half")
    again = build(COUNTER, "counter", "icarus")
    assert not again.reused
    run(again, BENCH, testcase="counts")


@pytest.mark.usefixtures("cache")
def test_concurrent_builds() -> None:
    with ThreadPoolExecutor(4) as pool:
        builds = list(pool.map(lambda _: build(COUNTER, "counter", "icarus"), range(4)))
    assert [made.reused for made in builds].count(False) == 1
    assert len({made.folder for made in builds}) == 1


def test_what_was_run_stays_while_this_process_does(cache: Path) -> None:
    built = build(COUNTER, "counter", "icarus")
    done = run(built, BENCH, testcase="counts")
    for path in (built.folder / "complete.json", *done.folder.iterdir(), done.folder):
        os.utime(path, (1, 1))
    prune(cache, 1)
    assert done.log.exists()
    assert built.folder.exists()


SCRIPT = """
import sys
from pathlib import Path
from sim.runner import build, run
built = build(Path(sys.argv[2]).read_text(), "counter", sys.argv[1])
run(built, Path(sys.argv[3]), testcase="sleeps", folder=Path(sys.argv[4]))
"""


def running(folder: Path) -> bool:
    """Return whether some process works in *folder*."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                return True
        except OSError:
            continue
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_simulator_outlives_its_run(counter: Build, tmp_path: Path, sent: signal.Signals) -> None:
    verilog = tmp_path / "counter.v"
    verilog.write_text(COUNTER)
    folder = tmp_path / "run"
    arguments = [counter.tool.name, str(verilog), str(BENCH), str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not running(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(30) != 0
        while running(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
