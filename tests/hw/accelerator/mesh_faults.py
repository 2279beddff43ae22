"""Faults seeded in the Verilog of a router, each in one place of it; see :mod:`tests.faults`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.faults import Edit, FaultNotSeeded, replaced

__all__ = ["FAULTS", "MeshFault", "seed"]


@dataclass(frozen=True)
class MeshFault:
    """One change of all routers.

    Parameters
    ----------
    edit : what changes the text of a module.
    caught_by : the check (see ``mesh_checks.py``) that must fail.
    module : the module.
    refuted : a proof must fail as well.
    """

    edit: Edit
    caught_by: str
    module: str = "router"
    refuted: bool = False


def seed(verilog: str, fault: MeshFault) -> str:
    """The Verilog with the fault in it; in a proof modules are called by their places."""
    shared = "router_buffer" if fault.module.endswith("_buffer") else fault.module
    found = re.search(
        rf"^module (?:{shared}|\\proof\.{re.escape(fault.module)}) ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise FaultNotSeeded(f"the Verilog has no module {fault.module}")
    changed = fault.edit(found[0])
    if changed == found[0]:
        raise FaultNotSeeded("the text must change")
    return verilog[: found.start()] + changed + verilog[found.end() :]


FAULTS = {
    # Copies.
    "copy-lost": MeshFault(
        replaced(r"assign local_left = ! (\S+?) ?;", r"assign local_left = local_asked != \1 ;"),
        "traffic",
        refuted=True,
    ),
    "copy-sent-twice": MeshFault(
        replaced(r"west_taken <= (?:\\\$\d+ |west_left[^;]+);", "west_taken <= 5'h00;"), "traffic", refuted=True
    ),
    "copy-with-all-destinations": MeshFault(
        replaced(r"= south_head\[(\d+):0\] & south_region;", r"= south_head[\1:0];"), "routes", refuted=True
    ),
    "flit-of-another-input": MeshFault(
        replaced(r"(5'h10:\n +local_head += )\S+ ?;", r"\1north_head;"), "routes", refuted=True
    ),
    # Arbitration.
    "grant-changes-while-it-waits": MeshFault(
        replaced(r"assign local_grant = [^?;]+\? local_kept : ", "assign local_grant = "), "traffic", refuted=True
    ),
    "turn-stands-still": MeshFault(replaced(r"north_turn <= \{[^}]*\};", "north_turn <= 5'h01;"), "turns"),
    # Routes.
    "north-for-south": MeshFault(
        replaced("south_region = own_column & below", "south_region = own_column & above"), "routes", refuted=True
    ),
    "host-forgotten": MeshFault(replaced("own_column = 7'h49;", "own_column = 7'h09;"), "routes"),
    "cluster-that-is-its-own-south": MeshFault(replaced("below = 7'h38;", "below = 7'h3f;"), "routes"),
    # Queues.
    "queue-takes-too-many": MeshFault(
        replaced(r"flits_in__ready = count != 2'h3;", "flits_in__ready = 1'h1;"), "traffic", "router.west_buffer", True
    ),
    "queue-takes-every-second-cycle": MeshFault(
        replaced(r"flits_in__ready = count != 2'h3;", "flits_in__ready = ! count;"), "full speed", "router.north_buffer"
    ),
    "queue-hides-flits": MeshFault(
        replaced(r"flits_out__valid = \| count;", "flits_out__valid = count[0];"), "traffic", "router.south_buffer"
    ),
    "queue-of-another-length": MeshFault(
        replaced(r"read__addr == 2'h2", "read__addr == 2'h1"), "traffic", "router.east_buffer"
    ),
    # What is told.
    "queue-not-seen": MeshFault(
        replaced(r"assign empty = & \{ (\S+ ?, ){4}(\S+?) +\};", r"assign empty = \2 ;"), "routes"
    ),
    "flit-counted-at-another-output": MeshFault(replaced(r"moved\[1\] = [^;]+;", "moved[1] = moved[3];"), "routes"),
    "wait-counted-without-one": MeshFault(
        replaced(r"stalled\[2\] = [^;]+;", "stalled[2] = south_out__valid;"), "routes"
    ),
}
"""Faults by name, for a mesh of 3 x 2 with queues of three flits."""
