"""What lies between phases that compute takes the cycles that the law of the built accelerator gives."""

from __future__ import annotations

import numpy as np
import pytest

from golden.accelerator.timing import law
from golden.accelerator.transport import contention_free, hops, links
from hw.accelerator.commands import End, HostCommand, Run, Write
from hw.accelerator.protocol import COMMAND_BITS, Unit
from sim.fabric.geometry import cut_map
from sim.fabric.placement import (
    EXCHANGE_CYCLES,
    Mesh,
    exchange,
    path,
    receive,
    rounds,
    send_out,
    transfers,
)
from tests.sim.fabric.built import phase_commands, sender_phase
from tests.sim.fabric.exchanges import (
    Sender,
    cluster,
    mask,
    mesh_config,
    meshes,
    random_placement,
    random_windows,
    sender_cycles,
    sending,
)


@pytest.mark.parametrize("flit_bits", [64, 32])
def test_one_sender(flit_bits: int) -> None:
    """To every cluster of a mesh, its own one included."""
    mesh, config = Mesh(3, 9), mesh_config(3, 3, flit_bits=flit_bits)
    for sender in range(mesh.clusters):
        for receiver in range(mesh.clusters):
            distance = path(sender, [receiver], mesh).hops
            assert distance == hops(cluster(sender, mesh), cluster(receiver, mesh), config)
            for words in (1, 7, 16):
                found = sender_cycles({cluster(sender, mesh): (0, mask([receiver], mesh), words)}, config)
                assert found == EXCHANGE_CYCLES + distance + words * config.flits_per_word


def test_multicasts() -> None:
    """The farthest receiver counts."""
    rng = np.random.default_rng(0)
    mesh, config = Mesh(4, 12), mesh_config(4, 3)
    for _ in range(60):
        sender = int(rng.integers(mesh.clusters))
        receivers = sorted({int(number) for number in rng.integers(mesh.clusters, size=rng.integers(1, 12))})
        tree = path(sender, receivers, mesh)
        assert tree.links == len(links(cluster(sender, mesh), mask(receivers, mesh), config))
        found = sender_cycles({cluster(sender, mesh): (0, mask(receivers, mesh), 9)}, config)
        assert found == EXCHANGE_CYCLES + tree.hops + 9


@pytest.mark.parametrize("mesh", list(meshes(4)), ids=str)
def test_routers_lie_in_the_stretch(mesh: Mesh) -> None:
    """All senders with all pairs of receivers: any set of receivers is made of them."""
    config = mesh_config(mesh.width, mesh.height)
    numbers = {cluster(number, mesh): number for number in range(mesh.clusters)}
    for sender in range(mesh.clusters):
        for first in range(mesh.clusters):
            for second in range(first, mesh.clusters):
                receivers = sorted({first, second})
                tree = path(sender, receivers, mesh)
                used = links(cluster(sender, mesh), mask(receivers, mesh), config)
                assert tree.links == len(used)
                assert {numbers[router] for router, _ in used} <= set(range(tree.first, tree.last + 1))


def check_rounds(mesh: Mesh, seed: int) -> int:
    """Random exchanges: rounds are free of contention and hold every transfer; returns the largest round."""
    rng = np.random.default_rng(seed)
    config = mesh_config(mesh.width, mesh.height)
    local = bool(rng.integers(2))
    windows = random_windows(rng, local=local)
    source, target = random_placement(rng, mesh, 3), random_placement(rng, mesh)
    wanted = list(transfers(windows, source, target, mesh, local=local))
    packed = rounds(wanted)
    assert sorted(map(id, wanted)) == sorted(id(one) for members in packed for one in members)
    for members in packed:
        streams = [(cluster(one.sender, mesh), mask(one.receivers, mesh)) for one in members]
        assert contention_free(streams, config), (mesh, seed)
        for one, (sender, destinations) in zip(members, streams, strict=True):
            assert one.path.links == len(links(sender, destinations, config))
    meeting = [sum(one.path.first <= number <= one.path.last for one in wanted) for number in range(mesh.clusters)]
    assert len(packed) == max(meeting)
    return max(map(len, packed))


@pytest.mark.parametrize("mesh", list(meshes(4)), ids=str)
def test_rounds_share_no_link(mesh: Mesh) -> None:
    together = max(check_rounds(mesh, seed) for seed in range(25))
    assert together > 1 or mesh.clusters < 3


@pytest.mark.parametrize(("width", "height"), [(7, 8), (8, 7), (1, 16), (16, 1), (5, 6)])
def test_rounds_of_larger_meshes_share_no_link(width: int, height: int) -> None:
    for seed in range(12):
        check_rounds(Mesh(width, width * height), seed)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", list(meshes(4)), ids=str)
def test_more_rounds_share_no_link(mesh: Mesh) -> None:
    for seed in range(100, 800):
        check_rounds(mesh, seed)


@pytest.mark.parametrize("seed", range(36))
def test_whole_exchanges(seed: int) -> None:
    """The cycles of all phases, several MAPs in each cluster, layers whose channels stay apart among them."""
    rng = np.random.default_rng(seed)
    mesh = list(meshes(3))[seed % 9]
    local, flit_bits = bool(seed % 2), (64, 32)[seed // 2 % 2]
    config = mesh_config(mesh.width, mesh.height, maps=3, flit_bits=flit_bits)
    windows = random_windows(rng, local=local)
    source, target = random_placement(rng, mesh, 3), random_placement(rng, mesh)
    found = flit_hops = phases = 0
    for members in rounds(transfers(windows, source, target, mesh, local=local)):
        for number in range(source.maps):
            senders: dict[int, Sender] = {
                cluster(one.sender, mesh): (number, mask(one.receivers, mesh), one.words[number])
                for one in members
                if one.words[number]
            }
            if senders:
                found += sender_cycles(senders, config)
                phases += 1
        flit_hops += sum(sum(one.words) * one.path.links for one in members) * config.flits_per_word
    wanted = exchange(windows, source, target, mesh, config.flits_per_word, local=local)
    assert (wanted.cycles, wanted.flit_hops, wanted.phases) == (found, flit_hops, phases)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_narrow_blocks(bits: int) -> None:
    """A STORE for each block, of one word at least: no cycle is lost between them."""
    config = mesh_config(2, 1)
    tiles = {(0, config.caps): sending(7 * bits, bits)}
    run = law(phase_commands([sender_phase({0: (0, 2, 7 * bits)}, tiles)], config), config)
    assert run.phases[0].cycles == EXCHANGE_CYCLES + 1 + 7 * bits


@pytest.mark.parametrize("seed", range(8))
def test_results_go_to_the_host(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = list(meshes(3))[-1 - seed]
    config = mesh_config(mesh.width, mesh.height, maps=3, flit_bits=(64, 32)[seed % 2])
    cut = cut_map((int(rng.integers(1, 20)), 20, int(rng.integers(1, 20))), 3, 64)
    source = random_placement(rng, mesh, 3)
    found = phases = 0
    for part, sets in enumerate(source.set_parts(cut)):
        for run, channels in enumerate(source.channel_runs(cut)):
            place = cluster(source.where(part, run, mesh), mesh)
            for number, words in enumerate(source.map_words(len(sets), len(channels), cut.bits)):
                if words:
                    found += sender_cycles({place: (number, 1 << config.host, words)}, config)
                    phases += 1
    sent = send_out(cut, source, mesh, config.flits_per_word)
    assert (sent.cycles, sent.phases) == (found, phases)
    assert sent.flit_hops >= cut.words * config.flits_per_word


@pytest.mark.parametrize("seed", range(12))
def test_inputs_come_from_the_host(seed: int) -> None:
    """From the first word of the first WRITE to go, without registers and programs, which are there before."""
    rng = np.random.default_rng(seed)
    mesh = list(meshes(3))[seed % 9]
    config = mesh_config(mesh.width, mesh.height, flit_bits=(64, 32)[seed % 2])
    windows, target = random_windows(rng), random_placement(rng, mesh)
    needed: dict[int, set[int]] = {}
    for part, sets in enumerate(target.set_parts(windows.target)):
        for number in windows.input_sets(sets):
            needed.setdefault(number, set()).update(target.where(part, run, mesh) for run in range(target.channels))
    commands: list[HostCommand] = []
    before: tuple[int, int] | None = None
    count = windows.source.channels * windows.source.bits * config.flits_per_word
    edges = {edge for part in target.set_parts(windows.target) for edge in _ends(windows.input_sets(part))}
    for number in sorted(needed):
        destinations = mask(sorted(needed[number]), mesh)
        if before is None or before[0] + 1 != number or number in edges:
            commands.append(Write(Unit.GATHER_MEMORY, 0, [0] * count, destinations))
        else:
            last = commands.pop()
            assert isinstance(last, Write)
            assert last.destinations == destinations
            commands.append(Write(Unit.GATHER_MEMORY, 0, [0] * (len(last.payload) + count), destinations))
        before = number, destinations
    run = law([*commands, Run(), End()], config)
    found = receive(windows, target, mesh, config.flits_per_word, -(-COMMAND_BITS // config.flit_bits))
    assert found.cycles == run.goes[0]
    assert found.flit_hops == sum(run.link_flits.values())


def _ends(sets: range) -> tuple[int, ...]:
    return (sets.start, sets.stop) if sets else ()
