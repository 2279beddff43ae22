"""What the hardware of an accelerator counted in a run, compared with the law."""

from __future__ import annotations

from golden.accelerator.timing import RunLaw
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.counters import tile_name
from hw.accelerator.protocol import TileState
from hw.accelerator.router import PORTS
from sim.accelerator.rtl_engine import RunOutcome


def assert_law(outcome: RunOutcome, expected: RunLaw, config: AcceleratorConfig) -> None:
    """Every cycle of every phase, what each tile did with it, and every flit on every link."""
    assert outcome.goes == expected.goes
    assert outcome.cycles == expected.end
    assert expected.contended == []
    for cluster in range(config.clusters):
        for tile in range(config.tiles):
            wanted = expected.states(cluster, tile)
            counted = {
                state: outcome.clusters[cluster][f"{tile_name(tile, config)}.{state.name.lower()}"]
                for state in TileState
                if state is not TileState.IDLE
            }
            assert counted == {state: wanted[state] for state in counted}, (cluster, tile)
            assert sum(counted.values()) + wanted[TileState.IDLE] == outcome.cycles
        for index, port in enumerate(PORTS):
            flits, stalls = outcome.links[cluster][index]
            assert (flits, stalls) == (expected.link_flits[cluster, port], 0), (cluster, port)
