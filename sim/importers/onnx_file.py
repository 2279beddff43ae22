"""Reads an ONNX file: nodes, constants and shapes as plain objects, so that a damaged file fails here and nowhere else.

Nodes that depend on constants and static shapes only are computed by ONNX's own reference evaluator.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.importers import ModelError

__all__ = ["QUANTISERS", "Node", "OnnxFile", "read_file"]

Array = NDArray[Any]

QUANTISERS = ("Quant", "IntQuant", "BipolarQuant", "QuantizeLinear", "DequantizeLinear", "Trunc", "FloatQuant")
"""Operators that are never computed as constants: they say what scale and width a tensor has."""

_STANDARD = ("", "ai.onnx")
_SAME_SHAPES = {
    "QLinearAdd": ("Add", slice(0, 4, 3)),
    "QLinearAveragePool": ("AveragePool", slice(0, 1)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", slice(0, 1)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QGemm": ("Gemm", slice(0, 4, 3)),
}
"""Operators of onnxruntime: a standard one with the same shapes, and which inputs that one has."""

_QUANTISER_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")


@dataclass(frozen=True)
class Node:
    """One operator of the file.

    Parameters
    ----------
    index : place in the file's list of nodes.
    op : the operator's name.
    domain : the operator's domain; empty for ONNX's own operators.
    name : as in the file; may be empty.
    inputs, outputs : names of tensors; an optional input that is left out is empty.
    attributes : by name, as Python values.
    """

    index: int
    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node {self.index} ({self.op}{f' {self.name!r}' if self.name else ''})"

    def input(self, position: int) -> str:
        """Name of an input; empty where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file holds.

    Parameters
    ----------
    nodes : those that depend on the network's input, and quantisers of constants, in the file's order.
    constants : by tensor name.
    shapes : static shapes by tensor name.
    input, output : names of the network's tensors.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    input: str
    output: str


def read_file(path: Path, name: str) -> OnnxFile:
    """Read an ONNX file with one input and one output, all of whose shapes are static.

    Parameters
    ----------
    path : of the file; tensors that it keeps in other files are read from beside it.
    name : of the model, for error texts.

    Raises
    ------
    ModelError
        If the file cannot be read or is not such a file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about their own dependencies and old files
        return _read(path, name)


def _read(path: Path, name: str) -> OnnxFile:
    try:
        import onnx
    except ImportError as error:
        raise ModelError("reading a .onnx file needs the Python package 'onnx': pip install onnx") from error
    content = path.read_bytes()
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # the decoder raises classes of its own
        raise ModelError(f"model {name}: not an ONNX file, or truncated or damaged ({len(content)} bytes)") from error
    if not model.graph.node or not model.opset_import:
        raise ModelError(f"model {name}: not an ONNX file, or without nodes ({len(content)} bytes)")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"model {name}: a constant cannot be read ({reason})") from error
    source, target = _ends(model, constants, name)
    try:
        inferred = onnx.shape_inference.infer_shapes(_standard(model), data_prop=True)
    except Exception as error:
        raise ModelError(f"model {name}: shapes cannot be inferred, the file is damaged") from error
    shapes = {key: value.shape for key, value in constants.items()} | _shapes(inferred, name, source)
    return _fold(model, constants, shapes, source, target, name)


def _ends(model: Any, constants: Mapping[str, Array], name: str) -> tuple[str, str]:
    """Names of the only input and the only output."""
    sources = [value.name for value in model.graph.input if value.name not in constants]
    targets = [value.name for value in model.graph.output]
    if len(sources) != 1 or len(targets) != 1:
        raise ModelError(
            f"model {name}: must have 1 input and 1 output, has {len(sources)} ({', '.join(sources)}) "
            f"and {len(targets)} ({', '.join(targets)})"
        )
    return sources[0], targets[0]


def _standard(model: Any) -> Any:
    """A copy for shape inference: operators of other domains become standard ones with the same shapes."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.domain in _STANDARD:
            continue
        if node.op_type in QUANTISERS:
            op, kept = "Identity", slice(0, 1)
            del node.attribute[:]
        elif node.op_type in _SAME_SHAPES:
            op, kept = _SAME_SHAPES[node.op_type]
        else:
            continue
        names = list(node.input)[kept]
        del node.input[:]
        node.input.extend(names)
        node.op_type, node.domain = op, ""
    return copy


def _shapes(model: Any, name: str, source: str) -> dict[str, tuple[int, ...]]:
    """Static shapes; those that are not known at all are left out."""
    graph, shapes = model.graph, dict[str, tuple[int, ...]]()
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            continue
        sizes = [axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?" for axis in tensor.shape.dim]
        if all(isinstance(size, int) and size > 0 for size in sizes):
            shapes[value.name] = tuple(int(size) for size in sizes)
        elif value.name == source:
            raise ModelError(
                f"model {name}: input {source!r} has a dynamic shape {' x '.join(map(str, sizes))}; export it with "
                "fixed sizes and a batch of 1"
            )
    if source not in shapes:
        raise ModelError(f"model {name}: input {source!r} has no shape; export it with fixed sizes and a batch of 1")
    return shapes


def _fold(
    model: Any, constants: dict[str, Array], shapes: dict[str, tuple[int, ...]], source: str, target: str, name: str
) -> OnnxFile:
    """Compute what does not depend on the input; order and names of the rest stay."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    opset = {entry.domain: entry.version for entry in model.opset_import}
    known = {source, *constants}
    nodes: list[Node] = []
    for index, proto in enumerate(model.graph.node):
        domain = "" if proto.domain in (*_STANDARD, *_QUANTISER_DOMAINS) else proto.domain
        try:
            attributes = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
        except Exception as error:
            raise ModelError(f"model {name}: attributes of node {index} cannot be read") from error
        node = Node(index, proto.op_type, domain, proto.name, tuple(proto.input), tuple(proto.output), attributes)
        missing = [one for one in node.inputs if one and one not in known]
        if missing or not node.outputs:
            raise ModelError(f"model {name}: {node}: no node before it computes {', '.join(map(repr, missing))}")
        known.update(node.outputs)
        used = [one for one in node.inputs if one]
        if node.op == "Shape" and not domain and used and used[0] in shapes:
            first, last = attributes.get("start", 0), attributes.get("end")
            constants[node.outputs[0]] = np.array(shapes[used[0]][first:last], dtype=np.int64)
        elif node.op not in QUANTISERS and not domain and all(one in constants for one in used):
            try:
                evaluator = ReferenceEvaluator(proto, opsets=opset)
                values = evaluator.run(None, {one: constants[one] for one in used})
            except Exception as error:
                raise ModelError(f"model {name}: {node} of constants cannot be computed") from error
            constants |= {key: np.asarray(value) for key, value in zip(node.outputs, values, strict=True)}
            shapes |= {key: constants[key].shape for key in node.outputs}
        else:
            nodes.append(node)
    if target not in known:
        raise ModelError(f"model {name}: no node computes the output {target!r}")
    return OnnxFile(_needed(nodes, target), constants, shapes, source, target)


def _needed(nodes: list[Node], target: str) -> tuple[Node, ...]:
    """The nodes that the output depends on."""
    wanted, kept = {target}, list[Node]()
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.insert(0, node)
            wanted.update(node.inputs)
    return tuple(kept)
