"""ONNX files that cannot be imported: one clear line with the node, status 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from sim import cli
from sim.importers import ModelError
from sim.importers.onnx_graph import load
from tests.onnx_models import QONNX, Onnx

Shape = tuple[int, ...]


def random(*shape: int) -> Any:
    return np.random.default_rng(1).normal(size=shape)


class File:
    """A network of one quantised input; ``output`` is what the operator under test gives."""

    def __init__(self, shape: tuple[int | str, ...] = (1, 4, 6, 6), kind: int = TensorProto.FLOAT) -> None:
        self.model = Onnx(shape, kind)

    def source(self) -> str:
        return self.model.quant("input", 0.5, 5, signed=True)

    def weights(self, *shape: int) -> str:
        return self.model.quant(self.model.constant(random(*shape)), 0.25, 4, signed=True)

    def convolved(self, **fields: Any) -> str:
        return self.model.node("Conv", self.source(), self.weights(4, 4, 3, 3), **fields)

    def end(self, result: str) -> str:
        return self.model.quant(result, 0.5, 5)


def operator(op: str, **fields: Any) -> Callable[[File], str]:
    return lambda file: file.end(file.model.node(op, file.source(), **fields))


def float_network(file: File) -> str:
    return file.model.node("Conv", "input", file.model.constant(random(4, 4, 3, 3)))


def float_weights(file: File) -> str:
    return file.end(file.model.node("Conv", file.source(), file.model.constant(random(4, 4, 3, 3))))


def computed_weights(file: File) -> str:
    first, second = file.source(), file.source()
    return file.end(file.model.node("MatMul", first, second))


def input_not_quantised(file: File) -> str:
    return file.end(file.model.node("Sub", "input", file.model.constant(0.5)))


def two_quantisers_of_the_input(file: File) -> str:
    return file.end(file.model.node("Add", file.source(), file.model.quant("input", 0.25, 5, signed=True)))


def no_quantiser_between(file: File) -> str:
    result = file.model.node("Conv", file.source(), file.weights(4, 4, 3, 3), file.model.constant(random(4)))
    return file.end(file.model.node("Conv", result, file.weights(4, 4, 1, 1)))


def fraction_in_the_logits(file: File) -> str:
    return file.model.node("Conv", file.source(), file.weights(4, 4, 3, 3), file.model.constant(random(4)))


def grouped(file: File) -> str:
    return file.end(file.model.node("Conv", file.source(), file.weights(4, 2, 3, 3), group=2))


def broadcast(file: File) -> str:
    mean = file.model.quant(file.model.node("GlobalAveragePool", file.source()), 0.3, 5)
    return file.end(file.model.node("Add", file.source(), mean))


def negative_factor(file: File) -> str:
    return file.end(file.model.node("Mul", file.source(), file.model.constant(-2.0)))


def factor_behind_relu(file: File) -> str:
    relu = file.model.node("Relu", file.convolved())
    return file.end(file.model.node("Mul", relu, file.model.constant(np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1))))


def factor_per_pixel(file: File) -> str:
    return file.end(file.model.node("Mul", file.convolved(), file.model.constant(random(1, 1, 4, 4))))


def division_by_zero(file: File) -> str:
    return file.end(file.model.node("Div", file.convolved(), file.model.constant(0.0)))


def constant_first(file: File) -> str:
    return file.end(file.model.node("Sub", file.model.constant(1.0), file.convolved()))


def quant(**changes: Any) -> Callable[[File], str]:
    fields: dict[str, Any] = {"scale": 0.5, "bits": 5, "signed": True, **changes}
    return lambda file: file.model.quant(file.convolved(), fields.pop("scale"), fields.pop("bits"), **fields)


def trunc(file: File) -> str:
    fields = [file.model.constant(value) for value in (0.5, 0.0, 8, 4)]
    return file.model.node("Trunc", file.source(), *fields, domain=QONNX)


def bipolar_activation(file: File) -> str:
    return file.model.node("BipolarQuant", file.convolved(), file.model.constant(0.5), domain=QONNX)


def scales_of_inputs(file: File) -> str:
    scales = np.full((1, 4, 1, 1), 0.25) * [[[[1]], [[2]], [[1]], [[1]]]]
    weights = file.model.quant(file.model.constant(random(4, 4, 3, 3)), scales, 4, signed=True)
    return file.end(file.model.node("Conv", file.source(), weights))


def halves_of_a_sixth(file: File) -> str:
    mean = file.model.node("AveragePool", file.source(), kernel_shape=[2, 3])
    return file.model.quant(mean, 0.5, 5, signed=True)


def clip_of_integers_without_limits(file: File) -> str:
    fields = [file.model.constant(0.25), file.model.constant(0, np.int8)]
    integers = file.model.node("QuantizeLinear", "input", *fields)
    ends = [file.model.constant(np.zeros(0), np.int8) for _ in range(2)]
    return file.model.node("DequantizeLinear", file.model.node("Clip", integers, *ends), *fields)


def pool(op: str = "MaxPool", **fields: Any) -> Callable[[File], str]:
    return operator(op, **{"kernel_shape": [2, 2], **fields})


def padded(value: float, *pads: int) -> Callable[[File], str]:
    def build(file: File) -> str:
        fields = [file.model.constant(pads, np.int64), file.model.constant(value)]
        return file.end(file.model.node("Pad", file.source(), *fields))

    return build


CASES: list[tuple[str, Callable[[File], str], str]] = [
    ("float", float_network, r"node 0 \(Conv 'Conv_2'\) works on float numbers and no node quantises: this is a float "
     r"model; quantise it first"),
    ("weights", float_weights, r"node 1 \(Conv 'Conv_6'\): the weights 'constant_5' are not quantised; quantise them "
     r"too"),
    ("computed", computed_weights, r"node 2 \(MatMul 'MatMul_9'\): the weights must be a constant of the model, "
     r"'quant_8' is not"),
    ("input", input_not_quantised, r"node 0 \(Sub 'Sub_2'\) works on the input 'input' before it is "
     r"quantised; quantise "
     r"it first"),
    ("twice", two_quantisers_of_the_input, r"node 1 \(Quant 'Quant_8'\): the input must be quantised in one way, is "
     r"quantised in two"),
    ("between", no_quantiser_between, r"node 4 \(Conv .*\) needs quantised numbers, node 2 \(Conv .*\) "
     r"computes others; put "
     r"a quantiser between them"),
    ("logits", fraction_in_the_logits, r"the network's output needs quantised numbers, node 2 \(Conv 'Conv_11'\) "
     r"computes others; put a quantiser between them"),
    ("operator", operator("Sigmoid"), r"node 1 \(Sigmoid 'Sigmoid_5'\) is not supported; supported are Add, .*"),
    ("transpose", operator("Transpose", perm=[0, 2, 3, 1]), r"node 1 \(Transpose 'Transpose_5'\) of an "
     r"activation is not "
     r"supported; export the network in the order NCHW"),
    ("trunc", trunc, r"node 1 \(Trunc 'Trunc_9'\) is not supported; use a Quant node instead of Trunc"),
    ("bipolar", bipolar_activation, r"node 3 \(BipolarQuant 'BipolarQuant_12'\) of an activation is not supported, as "
     r"-1 and 1 have no zero between them"),
    ("groups", grouped, r"node 2 \(Conv 'Conv_10'\): group must be 1 or, for a depthwise convolution, the number of "
     r"input channels \(4\), is 2"),
    ("broadcast", broadcast, r"node 4 \(Add .*\): broadcasting is not supported; operands must have the "
     r"same shape, have "
     r"\(6, 6, 4\) and \(1, 1, 4\)"),
    ("negative", negative_factor, r"node 1 \(Mul 'Mul_6'\): the factor must be positive, is -2"),
    ("behind", factor_behind_relu, r"node 4 \(Mul 'Mul_13'\): factors and sums behind ReLU, Clip or a pool need a "
     r"quantiser before them"),
    ("pixels", factor_per_pixel, r"node 3 \(Mul 'Mul_12'\): the constant must be one number, or one for each of 4 "
     r"channels, are \(1, 1, 4, 4\)"),
    ("division", division_by_zero, r"node 3 \(Div 'Div_12'\): the divisor must not be 0"),
    ("constant", constant_first, r"node 3 \(Sub 'Sub_12'\): the constant must be the second operand"),
    ("width", quant(bits=17), r"node 3 \(Quant 'Quant_14'\): the width must be a whole number of 1\.\.16 bits, is 17"),
    ("fraction", quant(bits=2.5), r"node 3 \(Quant .*\): the width must be a whole number of 1\.\.16 bits, is 2\.5"),
    ("rounding", quant(mode="FLOOR"), r"node 3 \(Quant .*\): rounding_mode must be ROUND or HALF_EVEN "
     r"for an activation, "
     r"is FLOOR"),
    ("sign", quant(bits=1), r"node 3 \(Quant .*\): an activation of 1 bit must be unsigned, as -1 and 1 have no zero "
     r"between them"),
    ("scale", quant(scale=0.0), r"node 3 \(Quant .*\): scales must be positive numbers, are 0"),
    ("channels", quant(scale=[[[[0.5]], [[1.0]], [[0.5]], [[0.5]]]]), r"node 3 \(Quant .*\): an "
     r"activation must have one "
     r"scale for all its channels, has 4"),
    ("zero", quant(zero=40.0), r"node 3 \(Quant .*\): the zero point must be -16\.\.15, is 40"),
    ("zeros", quant(zero=0.5), r"node 3 \(Quant .*\): zero points must be whole numbers, are 0\.5"),
    ("inputs", scales_of_inputs, r"node 2 \(Conv 'Conv_10'\): weights must have one scale for each "
     r"output channel, have "
     r"more"),
    ("halves", halves_of_a_sixth, r"node 1 \(AveragePool 'AveragePool_5'\): no requantisation constants "
     r"with a shift of "
     r"at most 62 equal the reference rounding on accumulators -96\.\.90; another scale of the output would do"),
    ("dilation", pool(dilations=[2, 2]), r"node 1 \(MaxPool 'MaxPool_5'\): dilations must be 1 in a "
     r"pool, are \(2, 2\)"),
    ("strides", pool(strides=[1]), r"node 1 \(MaxPool 'MaxPool_5'\): .*"),
    ("ceiling", pool("AveragePool", ceil_mode=1, count_include_pad=1), r"node 1 \(AveragePool 'AveragePool_5'\): "
     r"ceil_mode with count_include_pad is not supported"),
    ("mean", operator("ReduceMean", axes=[1]), r"node 1 \(ReduceMean 'ReduceMean_5'\): must be a mean over height and "
     r"width \(axes 2 and 3\), is over \[1\]"),
    ("padding", padded(1.0, 0, 0, 1, 1, 0, 0, 1, 1), r"node 1 \(Pad 'Pad_7'\): must pad with the constant 0 and by "
     r"amounts of at least 0"),
    ("limits", clip_of_integers_without_limits, r"node 1 \(Clip 'Clip_6'\) is damaged: a field is missing, of a wrong "
     r"kind or out of range"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused(tmp_path: Path, build: Callable[[File], str], text: str) -> None:
    file = File()
    path = file.model.save(tmp_path / "m.onnx", build(file))
    with pytest.raises(ModelError) as caught:
        load(path)
    assert re.fullmatch(f"model m: {text}", str(caught.value)), str(caught.value)


def test_kernel_with_a_scale_that_is_no_constant(tmp_path: Path) -> None:
    model = Onnx((1, 4))
    scale = model.node("ReduceMax", "input", keepdims=0)
    path = model.save(tmp_path / "m.onnx", model.node("QuantizeLinear", "input", scale))
    with pytest.raises(ModelError, match=r"^model m: node 0 \(ReduceMax 'ReduceMax_1'\) is not supported; supported"):
        load(path)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (
            ("N", 4, 6, 6),
            r"input 'input' has a dynamic shape N x 4 x 6 x 6; export it with fixed sizes and a batch of 1",
        ),
        ((2, 4, 6, 6), r"node 0 \(Quant 'Quant_4'\): the batch of 'input' must be 1, is 2"),
        ((1, 4, 6), r"node 0 \(Quant 'Quant_4'\): tensor 'input' must have 2 or 4 dimensions, has 3"),
    ],
)
def test_shapes(tmp_path: Path, shape: tuple[int | str, ...], text: str) -> None:
    file = File(shape)
    path = file.model.save(tmp_path / "m.onnx", file.end(file.model.node("Relu", file.source())))
    with pytest.raises(ModelError, match=rf"^model m: {text}$"):
        load(path)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    file = File()
    first = file.source()
    path = file.model.save(tmp_path / "m.onnx", first, file.end(file.model.node("Relu", first)))
    with pytest.raises(
        ModelError, match=r"^model m: must have 1 input and 1 output, has 1 \(input\) and 2 \(quant_4, "
    ):
        load(path)
    file.model.inputs.append(onnx.helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 2)))
    path = file.model.save(tmp_path / "m.onnx", first)
    with pytest.raises(ModelError, match=r"^model m: must have 1 input and 1 output, has 2 \(input, other\) and 1 "):
        load(path)


def test_nodes_out_of_order(tmp_path: Path) -> None:
    file = File()
    path = file.model.save(tmp_path / "m.onnx", file.end(file.model.node("Relu", file.source())))
    model = onnx.load(path)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"no node before it computes 'relu_5'$"):
        load(path)


def test_missing_file_of_constants(tmp_path: Path) -> None:
    file = File()
    path = file.model.save(tmp_path / "m.onnx", float_weights(file))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"^model m: a constant cannot be read \(.*weights\.bin.*\)$"):
        load(path)


# --- the command line -----------------------------------------------------------------------------------------------


def refused(capfd: pytest.CaptureFixture[str], text: str, *arguments: str) -> None:
    assert cli.main(["run", *arguments]) == 2
    captured = capfd.readouterr()
    assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
    assert captured.out == ""


def test_no_such_file(capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, r"model nope\.onnx: no such file", "nope.onnx", "--input", "x.npy", "--engine", "integer")


def test_input_is_needed(capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, r"--input must be given for a model that is not built in", "nope.onnx", "--engine", "integer")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"this is no model", r"not an ONNX file, or truncated or damaged \(16 bytes\)"),
        (b"", r"not an ONNX file, or without nodes \(0 bytes\)"),
    ],
)
def test_no_onnx(tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, text: str) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(content)
    refused(capfd, f"model text: {text}", str(path), "--input", "x.npy", "--engine", "integer")


def test_every_truncation_is_one_line(tmp_path: Path) -> None:
    file = File()
    whole = file.model.save(tmp_path / "m.onnx", file.end(file.convolved())).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "half.onnx").write_bytes(whole[:length])
        with pytest.raises(ModelError) as caught:
            load(tmp_path / "half.onnx")
        assert "\n" not in str(caught.value)


def test_every_damage_is_one_line_or_none(tmp_path: Path) -> None:
    file = File()
    pooled = file.model.node("MaxPool", file.end(file.convolved(pads=[1, 1, 1, 1])), kernel_shape=[2, 2])
    matrix = file.weights(4 * 25, 3)
    result = file.model.node("MatMul", file.model.node("Flatten", pooled), matrix)
    whole = file.model.save(tmp_path / "m.onnx", file.end(result)).read_bytes()
    random = np.random.default_rng(1)
    texts: list[str] = []
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, len(content), 3):
            content[place] = random.integers(256)
        (tmp_path / "damaged.onnx").write_bytes(content)
        try:
            load(tmp_path / "damaged.onnx")
        except ModelError as error:
            texts.append(str(error))
    assert texts
    assert not any("\n" in text for text in texts)


def test_input_of_another_width(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = File((1, 3, 4, 4))
    path = str(file.model.save(tmp_path / "m.onnx", file.end(file.model.node("Relu", file.source()))))
    array = str(tmp_path / "x.npy")
    np.save(array, np.full((4, 4, 3), 16, dtype=np.int8))
    text = rf"input {re.escape(array)} must hold numbers from -16 to 15, it has 16 to 16"
    refused(capfd, text, path, "--input", array, "--engine", "integer")
    picture = str(Path(cli.__file__).parent / "data" / "cifar10" / "cifar10_00_3.png")
    text = rf"input {re.escape(picture)} must be an \.npy file: the model takes numbers of 5 bits, no picture"
    refused(capfd, text, path, "--input", picture, "--engine", "integer")
    np.save(array, np.full((4, 4, 3), 3, dtype=np.int16))
    refused(capfd, rf"input {re.escape(array)} must hold int8 or floating-point numbers, not int16",
            path, "--input", array, "--engine", "integer")  # fmt: skip
