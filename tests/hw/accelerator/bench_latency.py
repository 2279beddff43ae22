"""Sends the flits that ``LATENCY_FLITS`` lists through an idle mesh, one at a time, and writes what was seen.

For each of them: the cycles until it was offered at each output, the links that counted it, and what was wrong.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

PERIOD = 10
LIMIT = 60
"""Cycles after which a flit is lost."""


@cocotb.test
async def latency(dut: Any) -> None:
    flits = json.loads(os.environ["LATENCY_FLITS"])
    clusters = int(os.environ["LATENCY_CLUSTERS"])
    ways = [*(f"cluster_{{}}_{cluster}" for cluster in range(clusters)), "host_{}"]
    inputs = [tuple(getattr(dut, f"{way.format('in')}__{name}") for name in ("payload", "valid")) for way in ways]
    offered = [tuple(getattr(dut, f"{way.format('out')}__{name}") for name in ("payload", "valid")) for way in ways]
    moved = [getattr(dut, f"moved_{cluster}") for cluster in range(clusters)]
    stalled = [getattr(dut, f"stalled_{cluster}") for cluster in range(clusters)]
    for way in ways:
        getattr(dut, f"{way.format('out')}__ready").value = 1
    for payload, valid in inputs:
        payload.value, valid.value = 0, 0
    Clock(dut.clk, PERIOD, "ns").start()
    edge = FallingEdge(dut.clk)
    dut.rst.value = 1
    await edge
    dut.rst.value = 0
    await edge

    rest = (1 << len(dut.host_in__payload)) - 1 >> clusters + 1
    results: list[dict[str, Any]] = []
    for number, (source, destinations) in enumerate(flits):
        seen: dict[str, Any] = {"arrivals": {}, "links": [], "wrong": []}
        content = number * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835 & rest
        payload, valid = inputs[source]
        payload.value, valid.value = content << clusters + 1 | destinations, 1
        if not dut.empty.value:
            seen["wrong"].append("not empty before")
        for cycle in range(1, LIMIT):
            seen["cycles"] = cycle
            await edge
            valid.value = 0
            for node, (out_payload, out_valid) in enumerate(offered):
                if out_valid.value:
                    if str(node) in seen["arrivals"]:
                        seen["wrong"].append(f"came twice to {node}")
                    seen["arrivals"][str(node)] = cycle
                    if int(out_payload.value) != content << clusters + 1 | 1 << node:
                        seen["wrong"].append(f"changed at {node}")
            for cluster, counter in enumerate(moved):
                bits = int(counter.value)
                seen["links"] += [[cluster, bit] for bit in range(5) if bits >> bit & 1]
            if any(int(counter.value) for counter in stalled):
                seen["wrong"].append("stalled")
            if dut.empty.value:
                break
        else:
            seen["wrong"].append("never empty again")
        results.append(seen)
    Path(os.environ["LATENCY_RESULTS"]).write_text(json.dumps(results), encoding="utf-8")
