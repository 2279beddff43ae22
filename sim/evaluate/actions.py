"""Events of a network as a YAML of action counts, which Accelergy and tools like it multiply by energies per action.

The format is that of Accelergy 0.4 (https://github.com/Accelergy-Project/accelergy, ``raw_inputs_2_dicts.py``): a part
``action_counts`` with counts of actions by component. A part ``bfimna``, which Accelergy passes over, says what the
counts are of, and gives them layer by layer as well.

Some events count the same cycles in different units: compares, compared rows and compared cells. An energy belongs to
one of them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sim.report import version

if TYPE_CHECKING:
    from sim.evaluate.cost import NetworkCost

__all__ = ["COMPONENTS", "VERSION", "action_counts", "actions_yaml"]

VERSION = 0.4
"""Version of Accelergy's format."""

COMPONENTS: dict[str, tuple[str, ...]] = {
    "array": ("compares", "compared_rows", "compared_cells", "writes", "driven_cells", "loaded_cells"),
    "responder_counters": ("counted_rows",),
    "plane_port": ("stored_bits",),
    "memories": ("memory_bits",),
    "mesh": ("flit_hops",),
    "controller": ("instructions", "tile_cycles"),
}
"""Components, and the events of :class:`~sim.evaluate.cost.Events` that are their actions; each event is in one."""


def action_counts(cost: NetworkCost) -> dict[str, Any]:
    """Return the content of the YAML as plain values.

    ``action_counts.local`` names a component ``bfimna.<name>`` for each of :data:`COMPONENTS`, whose actions have the
    names of events and no arguments. All counts are whole numbers, of the whole batch and of all tiles.
    """
    events = dataclasses.asdict(cost.events)
    return {
        "action_counts": {
            "version": VERSION,
            "local": [
                {
                    "name": f"bfimna.{component}",
                    "action_counts": [{"name": name, "counts": events[name]} for name in names],
                }
                for component, names in COMPONENTS.items()
            ],
        },
        "bfimna": {
            "version": version(),
            "network": cost.network,
            "config": cost.config,
            "config_hash": cost.config_hash,
            "bits": cost.bits,
            "mode": cost.mode,
            "batch": cost.batch,
            "cycles": cost.total,
            "layers": [
                {"name": layer.name, "op": layer.op, "cycles": layer.total, "events": dataclasses.asdict(layer.events)}
                for layer in cost.layers
            ],
        },
    }


def actions_yaml(cost: NetworkCost) -> str:
    """Return :func:`action_counts` as YAML text, which is the same for the same cost."""
    import yaml

    return yaml.safe_dump(action_counts(cost), sort_keys=False, width=120)
