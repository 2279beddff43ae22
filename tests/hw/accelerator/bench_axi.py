"""cocotb tests of the host port with masters that are not ours; ``test_axi.py`` runs them on config meshtiny."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamFrame, AxiStreamSink
from cocotbext.axi import AxiStreamSource as StreamSource
from cocotbext.axi.axil_channels import (
    AxiLiteARSource,
    AxiLiteARTransaction,
    AxiLiteAWSource,
    AxiLiteAWTransaction,
    AxiLiteBSink,
    AxiLiteRSink,
    AxiLiteWSource,
    AxiLiteWTransaction,
)

from golden.accelerator.machine import GoldenAccelerator
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, stream_words
from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import AcceleratorError, Command, Unit, Waiting
from hw.accelerator.register_map import MAP_BYTES, REGISTERS, STREAM_IN, STREAM_OUT, constants, register
from hw.isa import LoadKind
from sim.accelerator.driver import AcceleratorDriver, AcceleratorFailed, LinkCounts, RunStatus
from tests.golden.accelerator.streams import CAP, MAP, Convolution, arm, arm_sender, load, store

CONFIG = ACCELERATORS["meshtiny"]
BYTES = CONFIG.flit_bits // 8
HOST = CONFIG.host
RESETS = {entry.name: entry.reset for entry in REGISTERS if entry.access == "rw"}
LAYER = Convolution.random(11)
LAYER_COMMANDS: list[HostCommand] = [*LAYER.setup(), LAYER.sender(), Run(), End()]


def pauses(seed: int, probability: float = 0.5) -> Iterator[int]:
    generator = random.Random(seed)
    while True:
        yield int(generator.random() < probability)


class Bench:
    """Clock, reset, and a master of each port."""

    def __init__(self, dut: Any, *, raw: bool = False):
        self.dut = dut
        dut.rst.value = 1
        dut.m_axis_tready.value = 0
        Clock(dut.clk, 10, unit="ns").start()
        bus: Any = AxiLiteBus.from_prefix(dut, "s_axi")
        if raw:
            self.address = AxiLiteAWSource(bus.write.aw, dut.clk, dut.rst)
            self.data = AxiLiteWSource(bus.write.w, dut.clk, dut.rst)
            self.answer = AxiLiteBSink(bus.write.b, dut.clk, dut.rst)
            self.question = AxiLiteARSource(bus.read.ar, dut.clk, dut.rst)
            self.value = AxiLiteRSink(bus.read.r, dut.clk, dut.rst)
            self.channels: list[Any] = [self.address, self.data, self.answer, self.question, self.value]
        else:
            self.master: Any = AxiLiteMaster(bus, dut.clk, dut.rst)
            writes, reads = self.master.write_if, self.master.read_if
            self.channels = [
                writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel, reads.r_channel,
            ]  # fmt: skip
        self.source = StreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def read(self, name: str) -> int:
        found = await self.master.read(register(name).offset, 4)
        assert found.resp == AxiResp.OKAY
        return int.from_bytes(found.data, "little")

    async def write(self, name: str, value: int) -> None:
        done = await self.master.write(register(name).offset, value.to_bytes(4, "little"))
        assert done.resp == AxiResp.OKAY

    async def raw_write(self, offset: int, value: int, strobes: int = 0b1111) -> AxiResp:
        await self.address.send(AxiLiteAWTransaction(awaddr=offset, awprot=2))
        await self.data.send(AxiLiteWTransaction(wdata=value, wstrb=strobes))
        return AxiResp(int((await self.answer.recv()).bresp))

    async def raw_read(self, offset: int) -> tuple[AxiResp, int]:
        await self.question.send(AxiLiteARTransaction(araddr=offset, arprot=2))
        found = await self.value.recv()
        return AxiResp(int(found.rresp)), int(found.rdata)

    def send(self, words: Sequence[int]) -> None:
        self.source.send_nowait(AxiStreamFrame(b"".join(word.to_bytes(BYTES, "little") for word in words)))

    def sent(self) -> list[int]:
        """The words for the host that came so far."""
        text = bytes(self.sink.read_nowait())
        return [int.from_bytes(text[first : first + BYTES], "little") for first in range(0, len(text), BYTES)]

    async def ended(self) -> RunStatus:
        """Wait until the run is done, or an error is there."""
        for _ in range(2000):
            status = await self.read("STATUS")
            bits = {field.name: bool(field.of(status)) for field in register("STATUS").fields}
            if bits["done"] or bits["error"]:
                return RunStatus(**bits)
            await ClockCycles(self.dut.clk, 10)
        raise AssertionError("the run does not end")

    async def error(self) -> tuple[AcceleratorError, int, int, int]:
        value, fields = await self.read("ERROR"), register("ERROR")
        code, cluster, unit = (fields.field(name).of(value) for name in ("code", "cluster", "unit"))
        return AcceleratorError(code), cluster, unit, await self.read("ERROR_DETAIL")


class Registers:
    """The device of a driver that runs in a thread of its own."""

    def __init__(self, bench: Bench):
        self.bench = bench

    @resume
    async def read32(self, offset: int) -> int:
        found = await self.bench.master.read(offset, 4)
        assert found.resp == AxiResp.OKAY
        return int.from_bytes(found.data, "little")

    @resume
    async def write32(self, offset: int, value: int) -> None:
        done = await self.bench.master.write(offset, value.to_bytes(4, "little"))
        assert done.resp == AxiResp.OKAY


@cocotb.test()
async def registers_hold_what_is_written_whatever_the_pauses(dut: Any) -> None:
    bench = Bench(dut)
    generator = random.Random(3)
    for number, channel in enumerate(bench.channels):
        channel.set_pause_generator(pauses(number))
    await bench.reset()
    for name, value in constants(CONFIG).items():
        assert await bench.read(name) == value, name
    expected = dict(RESETS)
    for _ in range(100):
        name = generator.choice(list(expected))
        if generator.randrange(2):
            value = generator.getrandbits(32)
            await bench.write(name, value)
            expected[name] = value & register(name).mask
        else:
            assert await bench.read(name) == expected[name], name
    await bench.reset()
    for name, value in RESETS.items():
        assert await bench.read(name) == value, name


@cocotb.test()
async def reads_and_writes_at_the_same_time(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()

    async def writes() -> None:
        for value in range(50):
            await bench.write("PACKET_WORDS", value)

    task = cocotb.start_soon(writes())
    seen = [await bench.read("PACKET_WORDS") for _ in range(60)]
    await task
    assert seen == sorted(seen)
    assert len(set(seen)) > 10
    assert await bench.read("PACKET_WORDS") == 49


@cocotb.test()
async def accesses_that_are_refused(dut: Any) -> None:
    bench = Bench(dut, raw=True)
    for number, channel in enumerate(bench.channels):
        channel.set_pause_generator(pauses(number, 0.3))
    await bench.reset()
    by_offset = {entry.offset: entry for entry in REGISTERS}
    kept = register("PACKET_WORDS").offset
    assert await bench.raw_write(kept, 0xA5A5_5A5A) == AxiResp.OKAY
    last = max(by_offset)
    for offset in [*range(last + 9), MAP_BYTES // 2, MAP_BYTES - 4, MAP_BYTES - 1]:
        entry = by_offset.get(offset)
        response, value = await bench.raw_read(offset)
        assert (response == AxiResp.OKAY) == (entry is not None and entry.access != "wo"), hex(offset)
        assert response in (AxiResp.OKAY, AxiResp.SLVERR)
        if response != AxiResp.OKAY:
            assert value == 0
        # What can be written gets what it has; all else is refused.
        writable = entry is not None and entry.access == "rw"
        if entry is None or entry.access != "wo":
            answer = await bench.raw_write(offset, value if writable else 0xFFFF_FFFF)
            assert answer == (AxiResp.OKAY if writable else AxiResp.SLVERR), hex(offset)
    for strobes in range(15):
        for name in ("PACKET_WORDS", "CONTROL"):
            assert await bench.raw_write(register(name).offset, 0xFFFF_FFFF, strobes) == AxiResp.SLVERR
    assert await bench.raw_read(kept) == (AxiResp.OKAY, 0xA5A5_5A5A)
    status = await bench.raw_read(register("STATUS").offset)
    assert status == (AxiResp.OKAY, register("STATUS").field("idle").mask)
    for name, value in RESETS.items():
        if name != "PACKET_WORDS":
            assert await bench.raw_read(register(name).offset) == (AxiResp.OKAY, value)


@cocotb.test()
async def data_may_come_before_its_address(dut: Any) -> None:
    bench = Bench(dut, raw=True)
    await bench.reset()
    for first, second in (("data", "address"), ("address", "data")):
        frames = {
            "data": AxiLiteWTransaction(wdata=len(first), wstrb=15),
            "address": AxiLiteAWTransaction(awaddr=register("PACKET_WORDS").offset, awprot=0),
        }
        await getattr(bench, first).send(frames[first])
        await ClockCycles(dut.clk, 7)
        assert not dut.s_axi_bvalid.value
        await getattr(bench, second).send(frames[second])
        assert int((await bench.answer.recv()).bresp) == AxiResp.OKAY
        assert await bench.raw_read(register("PACKET_WORDS").offset) == (AxiResp.OKAY, len(first))


@cocotb.test()
async def reset_in_mid_transfer(dut: Any) -> None:
    bench = Bench(dut, raw=True)
    offset = register("PACKET_WORDS").offset
    await bench.reset()
    for kind in ("address", "data", "both", "question"):
        for cycles in range(1, 6):
            bench.answer.pause = bench.value.pause = True
            if kind in ("address", "both"):
                bench.address.send_nowait(AxiLiteAWTransaction(awaddr=offset, awprot=0))
            if kind in ("data", "both"):
                bench.data.send_nowait(AxiLiteWTransaction(wdata=0x1234, wstrb=15))
            if kind == "question":
                bench.question.send_nowait(AxiLiteARTransaction(araddr=offset, arprot=0))
            await ClockCycles(dut.clk, cycles)
            dut.rst.value = 1
            await ClockCycles(dut.clk, 2)
            assert not dut.s_axi_bvalid.value
            assert not dut.s_axi_rvalid.value
            assert not dut.s_axi_awready.value
            assert not dut.s_axi_wready.value
            assert not dut.s_axi_arready.value
            dut.rst.value = 0
            bench.answer.pause = bench.value.pause = False
            for channel in bench.channels:
                channel.clear()
            await ClockCycles(dut.clk, 3)
            # Neither half of the transfer before is left.
            assert await bench.raw_read(offset) == (AxiResp.OKAY, 0)
            assert await bench.raw_write(register("PHASE_SELECT").offset, 9) == AxiResp.OKAY
            assert await bench.raw_read(register("PHASE_SELECT").offset) == (AxiResp.OKAY, 9)
            assert await bench.raw_read(offset) == (AxiResp.OKAY, 0)


@cocotb.test()
async def cycles_of_commands_are_counted_exactly(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    bench.send(list(stream_words([Run(), Run(), End()], CONFIG)))
    await ClockCycles(dut.clk, 5)
    assert not dut.s_axis_tready.value  # not before the start
    await bench.write("CONTROL", register("CONTROL").field("start").mask)
    assert await bench.ended() == RunStatus(running=False, done=True, error=False, idle=True)
    # A command takes cycles 0 .. 3, is looked at in cycle 4, goes in cycle 5; END sees all idle in cycle 14.
    expected = {"CYCLES_LOW": 15, "CYCLES_HIGH": 0, "PHASES": 2, "WORDS_IN": 12, "WAITING_IN": 0, "WORDS_OUT": 0}
    assert {name: await bench.read(name) for name in expected} == expected
    log = []
    for phase in range(2):
        await bench.write("PHASE_SELECT", phase)
        log.append(await bench.read("PHASE_CYCLE_LOW"))
    assert log == [5, 10]
    # A second run, whose words come late: 4 cycles take a word, one looks at it.
    await bench.write("CONTROL", 1)
    await ClockCycles(dut.clk, 30)
    bench.send(list(stream_words([End()], CONFIG)))
    await bench.ended()
    cycles, waiting = await bench.read("CYCLES_LOW"), await bench.read("WAITING_IN")
    assert waiting > 30
    assert cycles == waiting + 5
    assert await bench.read("PHASES") == 0


@cocotb.test()
async def driver_runs_a_layer(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()

    words = list(stream_words(LAYER_COMMANDS, CONFIG))
    expected = GoldenAccelerator(CONFIG).run(LAYER_COMMANDS).words
    bench.send(words)

    def drive() -> tuple[list[list[int]], list[int], int, list[list[LinkCounts]]]:
        driver = AcceleratorDriver(Registers(bench), CONFIG)
        driver.write("PACKET_WORDS", 1)
        driver.start(watchdog=500)
        driver.wait(interval=0.0)
        assert driver.status() == RunStatus(running=False, done=True, error=False, idle=True)
        driver.snapshot()
        return driver.counters(1), driver.phase_log(), driver.read("CYCLES"), driver.links()

    counters, log, cycles, links = await bridge(drive)()
    assert bench.sent() == expected
    assert len(counters) == CONFIG.clusters
    # The phase begins once the last word of RUN was looked at; all words came without a wait.
    assert log == [len(words) - 4 + 1]
    assert cycles > log[0]
    # WRITEs go from the host into cluster 0, by its local output, and its words out at the north.
    flits = sum(len(command.payload) for command in LAYER_COMMANDS if isinstance(command, Write))
    assert links[0][4] == LinkCounts(flits, 0)
    assert links[0][0].flits == len(expected)
    assert sum(port.flits for port in links[1]) == 0
    assert await bench.read("WORDS_IN") == len(words)
    assert await bench.read("WORDS_OUT") == len(expected)


@cocotb.test()
async def streams_obey_whatever_the_pauses(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    words = list(stream_words(LAYER_COMMANDS, CONFIG))
    expected = GoldenAccelerator(CONFIG).run(LAYER_COMMANDS).words
    offered: list[tuple[bool, int]] = []

    async def watch() -> None:
        """A word that is offered stays until it is taken."""
        edge, held = RisingEdge(dut.clk), None
        while True:
            await edge
            valid, ready = bool(dut.m_axis_tvalid.value), bool(dut.m_axis_tready.value)
            shown = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value)) if valid else None
            assert held is None or shown == held
            held = shown if valid and not ready else None
            if valid and ready:
                assert shown is not None
                offered.append((bool(shown[1]), shown[0]))

    cocotb.start_soon(watch())
    for number, (sending, taking, packet) in enumerate(((0.0, 0.0, 3), (0.6, 0.0, 0), (0.0, 0.7, 24), (0.5, 0.5, 1))):
        offered.clear()
        await bench.write("CONTROL", register("CONTROL").field("stop").mask)  # packets begin anew
        await bench.write("PACKET_WORDS", packet)
        bench.source.set_pause_generator(pauses(number, sending))
        bench.sink.set_pause_generator(pauses(number + 10, taking))
        await bench.write("CONTROL", 1)
        bench.send(words)
        assert (await bench.ended()).done
        assert [word for _, word in offered] == expected
        ends = [bool(packet) and (index + 1) % packet == 0 for index in range(len(expected))]
        assert [last for last, _ in offered] == ends
        assert await bench.read("WORDS_OUT") == len(expected)
        waited = await bench.read("WAITING_OUT")
        assert (waited > 0) == (taking > 0)


BAD_COMMANDS: dict[str, tuple[list[int], tuple[AcceleratorError, int, int, int]]] = {
    "opcode": ([0x5A, 0, 0, 0], (AcceleratorError.OPCODE, HOST, 0, 0x5A)),
    "unit": (
        list(stream_words([Write(Unit.TILE + 3, 0, [1], 1)], CONFIG)),
        (AcceleratorError.UNIT, HOST, Unit.TILE + 3, 0),
    ),
    "destination": (
        list(stream_words([Write(Unit.TAPS, 0, [1], 1 << HOST)], CONFIG)),
        (AcceleratorError.DESTINATION, HOST, Unit.TAPS, 0),
    ),
    "address": (
        list(stream_words([Write(Unit.TAPS, 62, [1, 2, 3], 3)], CONFIG)),
        (AcceleratorError.ADDRESS, HOST, Unit.TAPS, 64),
    ),
    "barrier": (list(stream_words([Wait(4)], CONFIG)), (AcceleratorError.BARRIER, HOST, 0, 0)),
    # A MAP waits for a CAP that was never armed.
    "unarmed CAP": (
        list(stream_words([*arm(MAP, [load(0, 2, LoadKind.BLOCK)], clusters=2), Run(), End()], CONFIG)),
        (AcceleratorError.WATCHDOG, 1, Unit.TILE + MAP, Waiting.PLANES),
    ),
    # A CAP stores, and its MAP does not take.
    "unarmed MAP": (
        list(stream_words([*arm(CAP, [store(0, 2)]), Run(), End()], CONFIG)),
        (AcceleratorError.WATCHDOG, 0, Unit.TILE + CAP, Waiting.ROOM),
    ),
    "truncated command": ([int(Command.END)], (AcceleratorError.WATCHDOG, HOST, STREAM_IN, 0)),
    "truncated payload": (
        list(stream_words([Write(Unit.TAPS, 0, [1, 2, 3], 3)], CONFIG))[:-1],
        (AcceleratorError.WATCHDOG, HOST, STREAM_IN, 0),
    ),
    "no command": ([], (AcceleratorError.WATCHDOG, HOST, STREAM_IN, 0)),
}


@cocotb.test()
async def bad_programs_are_named(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    for name, (words, expected) in BAD_COMMANDS.items():
        await bench.write("WATCHDOG", 60)
        await bench.write("CONTROL", 1)
        bench.send([*words, *([0] * 40 if expected[0] != AcceleratorError.WATCHDOG else [])])
        status = await bench.ended()
        assert (status.running, status.done, status.error) == (False, False, True), name
        assert await bench.error() == expected, name
        # Nothing begins, and the error stays, until a stop.
        await bench.write("CONTROL", 1)
        await ClockCycles(dut.clk, 20)
        assert not dut.s_axis_tready.value
        assert await bench.error() == expected, name
        await bench.write("CONTROL", 2)
        bench.source.clear()
        bench.source.assert_reset()
        assert await bench.error() == (AcceleratorError.NONE, 0, 0, 0)
    # After all of that a good program runs as ever.
    await bench.write("PACKET_WORDS", 1)
    await bench.write("CONTROL", 1)
    bench.send(list(stream_words(LAYER_COMMANDS, CONFIG)))
    assert (await bench.ended()).done
    assert np.array_equal(LAYER.numbers(bench.sent()), LAYER.result())


@cocotb.test()
async def watchdog_counts_to_its_limit(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    for limit in (1, 2, 100):
        await bench.write("WATCHDOG", limit)
        await bench.write("CONTROL", 1)
        assert (await bench.ended()).error
        assert await bench.read("CYCLES_LOW") == limit + 1
        await bench.write("CONTROL", 2)
    await bench.write("WATCHDOG", 0)
    await bench.write("CONTROL", 1)
    await ClockCycles(dut.clk, 1000)
    assert await bench.error() == (AcceleratorError.NONE, 0, 0, 0)
    assert await bench.read("STATUS") == 0b1001


@cocotb.test()
async def a_host_that_takes_nothing_is_named(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    bench.sink.pause = True
    await bench.write("WATCHDOG", 200)
    await bench.write("PACKET_WORDS", 1)
    await bench.write("CONTROL", 1)
    bench.send(list(stream_words([*arm(MAP, [store(0, 20)]), arm_sender(counts=(20, 1, 1)), Run(), End()], CONFIG)))
    assert (await bench.ended()).error
    assert await bench.error() == (AcceleratorError.WATCHDOG, HOST, STREAM_OUT, Waiting.ROOM)
    # A stop drops what waits.
    await bench.write("CONTROL", 2)
    await ClockCycles(dut.clk, 3)
    assert not dut.m_axis_tvalid.value
    assert await bench.read("STATUS") == 0b1000


@cocotb.test()
async def stop_in_mid_run_leaves_nothing(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    words = list(stream_words(LAYER_COMMANDS, CONFIG))
    expected = GoldenAccelerator(CONFIG).run(LAYER_COMMANDS).words
    await bench.write("PACKET_WORDS", 1)
    for cycles in (40, 260, 420, 600):
        await bench.write("CONTROL", 1)
        bench.send(words)
        await ClockCycles(dut.clk, cycles)
        await bench.write("CONTROL", 2)
        bench.source.clear()
        bench.source.assert_reset()
        await ClockCycles(dut.clk, 3)
        assert await bench.read("STATUS") == 0b1000
        assert await bench.read("CYCLES_LOW") == await bench.read("PHASES") == await bench.read("WORDS_IN") == 0
        assert await bench.read("PACKET_WORDS") == 1
        bench.sent()
    await bench.write("CONTROL", 1)
    bench.send(words)
    assert (await bench.ended()).done
    assert bench.sent() == expected


@cocotb.test()
async def driver_names_what_failed(dut: Any) -> None:
    bench = Bench(dut)
    await bench.reset()
    await bench.write("WATCHDOG", 50)
    bench.send(BAD_COMMANDS["unarmed CAP"][0])

    def drive() -> str:
        driver = AcceleratorDriver(Registers(bench), CONFIG)
        driver.start()
        try:
            driver.wait(interval=0.0)
        except AcceleratorFailed as error:
            return str(error)
        return ""

    text = await with_timeout(bridge(drive)(), 100, "us")
    assert text == "WATCHDOG: cluster 1, MAP 0: waits for planes to come in"
