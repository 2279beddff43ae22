"""ONNX and QONNX files for tests, and what QONNX and onnxruntime compute for them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
QONNX = "qonnx.custom_op.general"
MICROSOFT = "com.microsoft"
IR_VERSION = 9
Random = np.random.Generator


class Onnx:
    """A model under construction: nodes are added in order, constants get names of their own."""

    def __init__(self, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs = [helper.make_tensor_value_info("input", kind, shape)]
        self.names = 0

    def name(self, stem: str) -> str:
        self.names += 1
        return f"{stem}_{self.names}"

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = self.name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        names = [self.name(op.lower()) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(op, list(inputs), names, name=f"{op}_{self.names}", domain=domain, **attributes)
        )
        return names[0]

    # --- quantisers

    def quant(
        self,
        source: str,
        scale: Any,
        bits: float,
        *,
        signed: bool = False,
        narrow: bool = False,
        zero: float = 0.0,
        mode: str = "ROUND",
    ) -> str:
        fields = [self.constant(value) for value in (scale, zero, bits)]
        flags = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": mode}
        return self.node("Quant", source, *fields, domain=QONNX, **flags)

    def quantised(self, source: str, scale: float, zero: int = 0, dtype: Any = np.int8) -> str:
        """QuantizeLinear and DequantizeLinear."""
        fields = [self.constant(scale), self.constant(zero, dtype)]
        return self.node("DequantizeLinear", self.node("QuantizeLinear", source, *fields), *fields)

    def weights(self, values: Array, scales: Any, dtype: Any = np.int8, axis: int = 0, zero: Any = 0) -> str:
        """Integers behind a DequantizeLinear."""
        spread = np.broadcast_to(np.asarray(zero), np.shape(scales))
        fields = [self.constant(values, dtype), self.constant(scales), self.constant(spread, dtype)]
        return self.node("DequantizeLinear", *fields, axis=axis)

    # --- the file

    def model(self, output: str, *more: str, opset: int = 17) -> Any:
        """The model; tensors are named by the nodes that compute them."""
        opsets = [helper.make_opsetid(domain, version) for domain, version in (("", opset), (QONNX, 1), (MICROSOFT, 1))]

        def made(nodes: list[Any], outputs: list[Any]) -> Any:
            graph = helper.make_graph(nodes, "test", self.inputs, outputs, self.constants)
            return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

        plain = [
            helper.make_node("Identity", one.input[:1], one.output) if one.domain == QONNX else one
            for one in self.nodes
        ]
        inferred = onnx.shape_inference.infer_shapes(made(plain, []))
        known = {value.name: value for value in inferred.graph.value_info}
        return made(self.nodes, [known.get(name, onnx.ValueInfoProto(name=name)) for name in (output, *more)])

    def save(self, path: Path, output: str, *more: str, opset: int = 17) -> Path:
        path.write_bytes(self.model(output, *more, opset=opset).SerializeToString())
        return path


def qonnx_tensors(path: Path, values: Array) -> dict[str, Array]:
    """Every tensor of a QONNX file as QONNX itself executes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes

        model = ModelWrapper(str(path)).transform(InferShapes())
        with mock.patch("qonnx.core.onnx_exec.qonnx_make_model", _make_model):
            result: dict[str, Array] = execute_onnx(model, {"input": values}, return_full_exec_context=True)
    return result


def _make_model(graph: Any) -> Any:
    """QONNX executes single nodes in files of onnx's newest format, which onnxruntime may not know yet."""
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", 17)])


def runtime_tensors(path: Path, values: Array, names: Sequence[str], *, optimised: bool) -> dict[str, Array]:
    """Named tensors as onnxruntime computes them on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    model = onnx.load(path)
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {value.name: value for value in inferred.graph.value_info}
    have = {value.name for value in model.graph.output}
    model.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in names if name not in have)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    found = session.run(list(names), {"input": values})
    return {name: np.asarray(tensor) for name, tensor in zip(names, found, strict=True)}
