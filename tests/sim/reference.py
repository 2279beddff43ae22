"""What the tests of whole networks compare with: the TFLite reference kernels, and the laws of another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from golden.engine import Engine, Job
from golden.graph import Graph, Integers
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Program
from sim.host import LayerResult, NetworkResult
from sim.spec import network_spec
from tests.tflite_models import Int8, reference_tensors

ROOT = Path(__file__).parents[2]

HOST_OPERATORS = {
    schema.BuiltinOperator.QUANTIZE,
    schema.BuiltinOperator.DEQUANTIZE,
    schema.BuiltinOperator.SOFTMAX,
}
"""Operators at the ends of a model that the host may do; a QUANTIZE in between is a layer of its own."""

LAW_PROCESS = """
import json, sys
from hw.config import TileConfig
from sim.spec import evaluate
given = json.load(sys.stdin)
fields = {name: value for name, value in given["config"].items() if name != "rows"}
laws = evaluate(given["spec"], TileConfig(**fields))
seen = [name for name in ("sim.models", "sim.importers", "tflite", "golden.tile", "cocotb") if name in sys.modules]
json.dump({"laws": laws, "seen": seen}, sys.stdout)
"""


def laws_of_another_process(graph: Graph, config: TileConfig) -> dict[str, dict[str, int]]:
    """Counters of every layer from a process that is given shapes, widths and config as JSON, and nothing else."""
    given = json.dumps({"spec": network_spec(graph), "config": config.as_dict()})
    done = subprocess.run(
        [sys.executable, "-c", LAW_PROCESS], input=given, capture_output=True, text=True, check=True, cwd=ROOT
    )
    answer = json.loads(done.stdout)
    assert answer["seen"] == [], "a law needs neither model nor tile"
    return answer["laws"]


def clear(engine: Engine) -> None:
    """Write 0 to every cell: activity depends on what a tile holds in rows and columns that a network does not use."""
    config = engine.config
    fills = [
        Instruction(Opcode.FILL, d=first, d_width=min(32, config.columns - first))
        for first in range(0, config.columns, 32)
    ]
    outcome = engine.run(Job(Program.build([*fills, Instruction(Opcode.HALT)], config)))
    assert not outcome.error


def counted(counters: Mapping[str, int]) -> dict[str, int]:
    """The counters without the identity of the hardware, which the engine ``rtl`` checks itself and leaves out."""
    return {name: value for name, value in counters.items() if not name.startswith("identity.")}


def assert_laws(layers: list[LayerResult], laws: Mapping[str, Mapping[str, int]], inputs: int = 1) -> None:
    """Every counter that has a law equals it, ``cycles.stall`` included; a law is of one input."""
    assert [layer.plan.shape.name for layer in layers] == list(laws)
    for layer in layers:
        law = {name: inputs * value for name, value in counted(laws[layer.plan.shape.name]).items()}
        assert {name: layer.counters[name] for name in law} == law, layer.plan.shape.name
        assert bool(law) == bool(layer.plan.jobs)


def assert_same_counters(one: NetworkResult, other: NetworkResult) -> None:
    """Two engines counted the same for every layer, activity included."""
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        assert counted(ours.counters) == counted(theirs.counters), ours.plan.shape.name


def _computed_tensors(content: bytes) -> dict[str, int]:
    """Every int8 tensor that an operator of the model writes, by name, with the operator that writes it."""
    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    (subgraph,) = model.subgraphs
    written: dict[str, int] = {}
    for operator in subgraph.operators:
        for index in operator.outputs:
            tensor = subgraph.tensors[index]
            if tensor.type == schema.TensorType.INT8:
                written[tensor.name.decode()] = model.operatorCodes[operator.opcodeIndex].builtinCode
    return written


def assert_reference(graph: Graph, content: bytes, values: Int8, maps: Mapping[str, Integers]) -> int:
    """Every tensor that the reference kernels compute from int8 numbers equals the map of that name, bit for bit.

    A map that the model does not have (a part of a layer, a flattened map) must be named after one that it has.
    Returns the number of tensors that were compared.
    """
    expected = reference_tensors(content, values)
    written = _computed_tensors(content)
    left_out = written.keys() - maps.keys()
    assert {written[name] for name in left_out} <= HOST_OPERATORS, left_out
    own = maps.keys() - expected.keys()
    assert all(any(name.startswith(f"{tensor}/") for tensor in expected) for name in own), own
    assert graph.output in written
    compared = written.keys() & maps.keys()
    for name in sorted(compared):
        assert expected[name].dtype == np.int8
        assert np.array_equal(expected[name].reshape(maps[name].shape), maps[name] - 128), name
    return len(compared)
