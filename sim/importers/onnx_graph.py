"""The ONNX importer: a quantised network (QDQ, operators on integers, or QONNX) to the integer graph.

Reading goes through three steps: nodes and constants as plain objects (:mod:`sim.importers.onnx_file`); what every
tensor is, a map or a sum that waits for its quantiser, by the handler of each operator
(:mod:`sim.importers.onnx_tensors`); layers with constants that are proven exact (:mod:`sim.importers.onnx_layers`).
NCHW becomes (height, width, channels).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from golden.graph import Graph
from sim.importers import (
    ModelError,
    onnx_affine,
    onnx_integer_operators,
    onnx_limits,
    onnx_movements,
    onnx_pools,
    onnx_quantiser_nodes,
    onnx_weighted,
)
from sim.importers.onnx_file import OnnxFile, read_file
from sim.importers.onnx_quantisers import Weights
from sim.importers.onnx_tensors import Handler, Tensors
from sim.importers.onnx_values import Grid

__all__ = ["HANDLERS", "kernel_differences", "load"]

HANDLERS: Mapping[str, Handler] = {
    **onnx_quantiser_nodes.HANDLERS,
    **onnx_weighted.HANDLERS,
    **onnx_integer_operators.HANDLERS,
    **onnx_affine.HANDLERS,
    **onnx_limits.HANDLERS,
    **onnx_pools.HANDLERS,
    **onnx_movements.HANDLERS,
}
"""What is supported, by operator."""

_ADVICE = {
    "Trunc": "use a Quant node instead of Trunc",
    "FloatQuant": "quantise to integers",
    "DynamicQuantizeLinear": "quantise statically, with calibrated scales",
}
_HOST = ("Softmax", "LogSoftmax", "DequantizeLinear")
"""What the host does behind the network's last map."""


def kernel_differences(path: str | Path) -> dict[str, int]:
    """By layer of an ONNX file: for how many reachable accumulators onnxruntime's kernel gives another number.

    0 proves that a layer's numbers are onnxruntime's.  Layers for which it has no kernel on integers are left out.

    Raises
    ------
    ModelError
        As :func:`load`.
    """
    _, tensors = _import(path, None)
    return tensors.writer.kernel_differences()


def load(path: str | Path, name: str | None = None) -> Graph:
    """The integer graph of an ONNX or QONNX file; ``name`` is the file's name without its ending unless given.

    Raises
    ------
    ModelError
        If it is no such file, or something in it is not supported; the text names the node.
    """
    graph, _ = _import(path, name)
    return graph


def _import(path: str | Path, name: str | None) -> tuple[Graph, Tensors]:
    file = Path(path)
    if not file.is_file():
        raise ModelError(f"model {file}: no such file")
    label = file.stem if name is None else name
    content = _without_host(read_file(file, label))
    tensors = Tensors(content, label, onnx_limits.integer_clips(content))
    _check_operators(tensors)
    _read_nodes(tensors)
    return _graph(tensors, label), tensors


def _without_host(content: OnnxFile) -> OnnxFile:
    """The file without what the host does at its end."""
    nodes = list(content.nodes)
    while len(nodes) > 1 and nodes[-1].op in _HOST:
        nodes.pop()
    (output, *_) = nodes[-1].outputs
    return replace(content, nodes=tuple(nodes), output=output)


def _check_operators(tensors: Tensors) -> None:
    """Name the first operator that is not supported, and notice a network without quantisers."""
    nodes = tensors.file.nodes
    for node in nodes:
        if node.op not in HANDLERS:
            known = _ADVICE.get(node.op, f"supported are {', '.join(sorted(HANDLERS))}")
            raise tensors.refuse(f"{node} is not supported; {known}")
    if not any("Quant" in node.op or "Integer" in node.op or node.op[0] == "Q" for node in nodes):
        raise tensors.refuse(
            f"{nodes[0]} works on float numbers and no node quantises: this is a float model; quantise it first"
        )


def _read_nodes(tensors: Tensors) -> None:
    for node in tensors.file.nodes:
        try:
            tensors.values[node.outputs[0]] = HANDLERS[node.op](tensors, node)
        except ModelError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise tensors.refuse(f"{node} is damaged: a field is missing, of a wrong kind or out of range") from error


def _result(tensors: Tensors) -> Grid:
    """The network's output."""
    name = tensors.file.output
    value = tensors.values[name]
    if isinstance(value, Weights):
        raise tensors.refuse(f"the output {name!r} does not depend on the input")
    return onnx_movements.in_onnx_order(tensors.writer, tensors.writer.settle(value, None, name), name)


def _graph(tensors: Tensors, name: str) -> Graph:
    result, writer = _result(tensors), tensors.writer
    if tensors.input is None:
        raise tensors.refuse(f"the input {tensors.file.input!r} is not quantised")
    return Graph(
        name=name,
        input=tensors.input.map.name,
        output=result.map.name,
        maps=writer.maps,
        layers=tuple(writer.layers),
        half_even_input=True,
    )
