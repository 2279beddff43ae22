"""Logic cells of an iCE40, counted on a mapped netlist as nextpnr packs them.

A logic cell holds a LUT, a flip-flop whose data that LUT drives alone, and a carry whose operands are inputs of that
LUT. A flip-flop or a carry without such a LUT takes a logic cell for itself. What nextpnr adds to make carry chains
legal is left out, about 1 in 100.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["logic_cells"]


def logic_cells(module: Mapping[str, Any]) -> int:
    """Logic cells of one module of a netlist that Yosys wrote as JSON, without the modules in it."""
    cells = list(module["cells"].values())
    drivers: dict[object, str] = {}
    loads: Counter[object] = Counter()
    for cell in cells:
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] == "output":
                drivers.update(dict.fromkeys(nets, cell["type"]))
            else:
                loads.update(nets)
    for port in module["ports"].values():
        if port["direction"] != "input":
            loads.update(port["bits"])

    luts = [cell["connections"] for cell in cells if cell["type"] == "SB_LUT4"]
    operands = {(lut["I1"][0], lut["I2"][0], lut["I3"][0]) for lut in luts}
    flip_flops = [cell["connections"]["D"][0] for cell in cells if cell["type"].startswith("SB_DFF")]
    carries = [cell["connections"] for cell in cells if cell["type"] == "SB_CARRY"]
    return (
        len(luts)
        + sum(drivers.get(data) != "SB_LUT4" or loads[data] > 1 for data in flip_flops)
        + sum((carry["I0"][0], carry["I1"][0], carry["CI"][0]) not in operands for carry in carries)
    )
