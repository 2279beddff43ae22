"""Small parts of the host port in Amaranth's simulator: registers, queue, counters, watchdog."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.accelerator.config import ACCELERATORS
from hw.accelerator.host_queue import HostQueue
from hw.accelerator.link_counters import LINKS, LinkCounters
from hw.accelerator.register_map import LOG_ENTRIES, register
from hw.accelerator.registers import RegisterPort
from hw.accelerator.router import PORTS
from hw.accelerator.run_counters import RunCounters
from hw.accelerator.watchdog import Watchdog

TINY = ACCELERATORS["meshtiny"]
RUN_COUNTS: tuple[str, ...] = ("cycles", "words_in", "words_out", "waiting_in", "waiting_out")


def simulate(dut: Any, bench: Callable[[Any], Any]) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def read(context: Any, dut: RegisterPort, name: str) -> int:
    """A read at full speed; asserts its latency."""
    context.set(dut.s_axi_araddr, register(name).offset)
    context.set(dut.s_axi_arvalid, 1)
    context.set(dut.s_axi_rready, 1)
    assert context.get(dut.s_axi_arready)
    await context.tick()
    context.set(dut.s_axi_arvalid, 0)
    assert not context.get(dut.s_axi_rvalid)
    await context.tick()
    assert context.get(dut.s_axi_rvalid)
    assert context.get(dut.s_axi_rresp) == 0
    value = context.get(dut.s_axi_rdata)
    await context.tick()
    return value


def test_halves_are_of_the_same_moment() -> None:
    dut = RegisterPort(TINY)

    async def bench(context: Any) -> None:
        await context.tick()
        for name in ("CYCLES", "PHASE_CYCLE", "COUNTER"):
            port = getattr(dut, name.lower())
            context.set(port, 0x1234_5678_FFFF_FFFF)
            assert await read(context, dut, f"{name}_LOW") == 0xFFFF_FFFF
            context.set(port, 0x1234_5679_0000_0000)
            assert await read(context, dut, f"{name}_HIGH") == 0x1234_5678
            assert await read(context, dut, "PHASES") == 0
            assert await read(context, dut, f"{name}_HIGH") == 0x1234_5678
            assert await read(context, dut, f"{name}_LOW") == 0
            assert await read(context, dut, f"{name}_HIGH") == 0x1234_5679

    simulate(dut, bench)


def test_control_lasts_one_cycle() -> None:
    dut, seen = RegisterPort(TINY), []

    async def bench(context: Any) -> None:
        await context.tick()
        context.set(dut.s_axi_awaddr, register("CONTROL").offset)
        context.set(dut.s_axi_wdata, 0xFFFF_FFFD)
        context.set(dut.s_axi_wstrb, 15)
        for cycle in range(8):
            context.set(dut.s_axi_awvalid, cycle == 0)
            context.set(dut.s_axi_wvalid, cycle == 2)
            context.set(dut.s_axi_bready, 0)
            seen.append((context.get(dut.control), context.get(dut.s_axi_bvalid)))
            await context.tick()

    simulate(dut, bench)
    # Data is taken in cycle 2, it acts in cycle 3, the answer is there from cycle 4 on.
    assert seen == [(0, 0)] * 3 + [(0b101, 0)] + [(0, 1)] * 4


@pytest.mark.parametrize("packet", [0, 1, 2, 5])
def test_queue_keeps_words_in_order_and_sets_last(packet: int) -> None:
    dut, generator = HostQueue(TINY), random.Random(packet)
    words, taken = [generator.getrandbits(32) for _ in range(60)], []

    async def bench(context: Any) -> None:
        context.set(dut.packet_words, packet)
        waiting, inside = list(words), 0
        while len(taken) < len(words):
            give, take = generator.random() < 0.6, generator.random() < 0.5
            context.set(dut.flits.valid, bool(waiting) and give)
            if waiting:
                context.set(dut.flits.payload.payload, waiting[0])
            context.set(dut.words.ready, take)
            assert context.get(dut.flits.ready) == (inside < 2)
            assert context.get(dut.words.valid) == (inside > 0)
            assert context.get(dut.empty) == (inside == 0)
            push, pop = waiting and give and inside < 2, take and inside > 0
            if pop:
                taken.append((context.get(dut.words.payload), context.get(dut.last)))
            if push:
                waiting.pop(0)
            inside += bool(push) - bool(pop)
            await context.tick()

    simulate(dut, bench)
    assert taken == [(word, int(packet > 0 and (index + 1) % packet == 0)) for index, word in enumerate(words)]


def test_queue_takes_and_gives_a_word_a_cycle() -> None:
    dut, taken = HostQueue(TINY), []

    async def bench(context: Any) -> None:
        context.set(dut.words.ready, 1)
        context.set(dut.flits.valid, 1)
        for cycle in range(20):
            context.set(dut.flits.payload.payload, cycle)
            assert context.get(dut.flits.ready)
            if context.get(dut.words.valid):
                taken.append((cycle, context.get(dut.words.payload)))
            await context.tick()

    simulate(dut, bench)
    assert taken == [(cycle + 1, cycle) for cycle in range(19)]


def test_run_counters_and_log() -> None:
    dut = RunCounters()
    names = ("running", "word_in", "word_out", "waits_in", "waits_out")
    generator = random.Random(4)

    async def bench(context: Any) -> None:
        counts: dict[str, int] = {}
        log: dict[int, int] = {}
        for _ in range(2):
            context.set(dut.begins, 1)
            await context.tick()
            context.set(dut.begins, 0)
            counts, log, phase = dict.fromkeys(RUN_COUNTS, 0), {}, 0
            for _ in range(200):
                bits = {name: generator.randrange(2) for name in names}
                for name, bit in bits.items():
                    context.set(getattr(dut, name), bit)
                go = generator.random() < 0.2
                context.set(dut.go, go)
                context.set(dut.phase, phase)
                if go:
                    log[phase] = counts["cycles"]
                    phase += 1
                await context.tick()
                counts["cycles"] += bits["running"]
                counts["words_in"] += bits["word_in"]
                counts["words_out"] += bits["word_out"]
                counts["waiting_in"] += bits["running"] & bits["waits_in"]
                counts["waiting_out"] += bits["running"] & bits["waits_out"]
                assert {name: context.get(getattr(dut, name)) for name in counts} == counts
            for name in (*names, "go"):
                context.set(getattr(dut, name), 0)
            assert len(log) > 20
            for number, cycle in log.items():
                context.set(dut.phase_select, number)
                await context.tick()
                assert context.get(dut.phase_cycle) == cycle
        # The phase after the last place takes that of the first.
        context.set(dut.go, 1)
        for number in (0, LOG_ENTRIES):
            assert log[0] != counts["cycles"]
            context.set(dut.phase, number)
            context.set(dut.go, number > 0)
            await context.tick()
        context.set(dut.go, 0)
        context.set(dut.phase_select, 0)
        await context.tick()
        assert context.get(dut.phase_cycle) == counts["cycles"]

    simulate(dut, bench)


def test_link_counters_count_each_output() -> None:
    assert len(PORTS) == LINKS
    dut, generator = LinkCounters(), random.Random(9)

    async def bench(context: Any) -> None:
        for _ in range(2):
            context.set(dut.begins, 1)
            await context.tick()
            context.set(dut.begins, 0)
            flits, stalls = [0] * 8, [0] * 8
            for _ in range(100):
                moved, stalled, running = (generator.getrandbits(bits) for bits in (LINKS, LINKS, 1))
                for name, value in (("moved", moved), ("stalled", stalled), ("running", running)):
                    context.set(getattr(dut, name), value)
                await context.tick()
                for link in range(LINKS):
                    flits[link] += moved >> link & 1
                    stalls[link] += stalled >> link & running & 1
            context.set(dut.moved, 0)
            context.set(dut.stalled, 0)
            for link in range(8):
                context.set(dut.port, link)
                assert (context.get(dut.flits), context.get(dut.stalls)) == (flits[link], stalls[link])

    simulate(dut, bench)


@pytest.mark.parametrize("limit", [0, 1, 3, 10])
def test_watchdog_bites_after_so_many_quiet_cycles(limit: int) -> None:
    dut, generator = Watchdog(), random.Random(limit)

    async def bench(context: Any) -> None:
        context.set(dut.limit, limit)
        quiet, bites = 0, 0
        for _ in range(400):
            running, progress = generator.random() < 0.97, generator.random() < 0.15
            context.set(dut.running, running)
            context.set(dut.progress, progress)
            expected = running and limit > 0 and quiet >= limit
            assert context.get(dut.bites) == expected
            bites += expected
            await context.tick()
            quiet = 0 if progress or not running else quiet + 1
        assert (bites > 0) == (limit > 0)

    simulate(dut, bench)
