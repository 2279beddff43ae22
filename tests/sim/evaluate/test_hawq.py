"""HAWQ-V3's tables: widths by layer, published results, sensitivities."""

from __future__ import annotations

import json
import re

import pytest

from sim.errors import UserError
from sim.evaluate.hawq import ALIASES, hawq_config, hawq_layers, hawq_names, hawq_results, sensitivities
from sim.evaluate.widths import parse_widths
from sim.models import data_file
from sim.networks.named import NETWORKS
from sim.networks.network import Network
from sim.networks.residual import residual_network

RESNET18 = """
layer               latency-0.75 latency-0.5 latency-0.25 bops-0.5
conv1               8 8 8 8
stage1.unit1.conv1  8 8 8 8
stage1.unit1.conv2  8 8 8 8
stage1.unit2.conv1  8 8 8 8
stage1.unit2.conv2  8 8 4 4
stage2.unit1.conv1  8 8 8 8
stage2.unit1.conv2  8 4 4 8
stage2.unit1.down   8 8 8 8
stage2.unit2.conv1  8 8 4 8
stage2.unit2.conv2  4 4 4 4
stage3.unit1.conv1  8 8 4 8
stage3.unit1.conv2  8 8 4 8
stage3.unit1.down   8 8 4 8
stage3.unit2.conv1  8 4 4 4
stage3.unit2.conv2  4 4 4 4
stage4.unit1.conv1  8 8 4 4
stage4.unit1.conv2  4 4 4 4
stage4.unit1.down   8 8 4 4
stage4.unit2.conv1  8 4 4 4
stage4.unit2.conv2  4 4 4 4
fc                  8 8 8 8
"""

NAMES = ("uniform8", "uniform4", "size-0.75", "size-0.5", "size-0.25", "bops-0.75", "bops-0.5", "bops-0.25",
         "latency-0.75", "latency-0.5", "latency-0.25")  # fmt: skip


def network(name: str) -> Network:
    return NETWORKS[name]()


def test_widths_of_resnet18_equal_the_published_tables() -> None:
    header, *rows = [line.split() for line in RESNET18.strip().splitlines()]
    for column, name in enumerate(header[1:], 1):
        widths = parse_widths(f"hawq-v3/{name}", network("resnet18"))
        assert widths.layers == {row[0]: (int(row[column]), int(row[column])) for row in rows}
        assert widths.residual_bits == 16
        assert widths.label == f"hawq-v3/{name}"


@pytest.mark.parametrize("model", ["resnet18", "resnet50"])
def test_every_configuration(model: str) -> None:
    ours = network(model)
    assert sorted(hawq_names(ours)) == sorted(NAMES)
    for name in NAMES:
        widths = parse_widths(f"hawq-v3/{name}", ours)
        assert list(widths.layers) == [layer.name for layer in ours.weight_layers]
        assert widths.residual_bits == 16
        assert widths.layers["conv1"] == widths.layers["fc"] == (8, 8)
        inside = list(widths.layers.values())[1:-1]
        assert all(activation == weight for activation, weight in inside)
        assert {bits for bits, _ in inside} == ({8} if name == "uniform8" else {4} if name == "uniform4" else {4, 8})


@pytest.mark.parametrize("model", ["resnet18", "resnet50"])
def test_short_names(model: str) -> None:
    for alias, name in ALIASES.items():
        assert parse_widths(f"hawq-v3/{alias}", network(model)) == parse_widths(f"hawq-v3/{name}", network(model))
    assert ALIASES == {
        "int8": "uniform8", "int4": "uniform4", "high": "latency-0.75", "medium": "latency-0.5", "low": "latency-0.25",
    }  # fmt: skip


def test_results() -> None:
    results = hawq_results(network("resnet18"))
    assert sorted(results) == sorted(NAMES)
    assert [(results[name].size_mb, results[name].bops_g, results[name].top1) for name in ("uniform8", "uniform4")] == [
        (11.1, 116.0, 71.56), (5.8, 34.0, 68.45),
    ]  # fmt: skip
    assert [results[f"latency-{part}"].top1 for part in ("0.75", "0.5", "0.25")] == [70.40, 70.34, 68.56]
    assert results["bops-0.5"].scheme == "Mixed Precision Medium BOPS"
    assert results["size-0.25"].speedup == 3.24
    assert sorted(hawq_results(network("resnet50"))) == sorted(NAMES)
    assert hawq_results(network("resnet50"))["latency-0.5"].top1 == 74.95
    assert hawq_results(network("vgg16")) == {}


def test_published_bit_operations_are_those_of_the_layers() -> None:
    """MACs x bits x bits at 8 bits; ResNet50 is the one with the stride in the first 1x1 convolution."""
    original = residual_network("resnet50", (3, 4, 6, 3), bottleneck=True, stride_first=True)
    for ours in (network("resnet18"), original):
        assert round(ours.macs * 8 * 8 / 1e9) == hawq_results(ours)["uniform8"].bops_g
    assert round(network("resnet50").macs * 8 * 8 / 1e9) == 262 > hawq_results(original)["uniform8"].bops_g == 247


@pytest.mark.parametrize("model", ["resnet18", "resnet50"])
def test_sensitivities(model: str) -> None:
    published = json.loads(data_file("hawq_v3.json").read_text(encoding="utf-8"))["sensitivity"][model]
    found = sensitivities(network(model))
    assert list(found) == [layer.name for layer in network(model).weight_layers[1:-1]]
    for index, values in enumerate(found.values()):
        trace = published["Hutchinson_trace"][index]
        assert values == {
            4: trace * published["delta_weights_4bit_square"][index],
            8: trace * published["delta_weights_8bit_square"][index],
        }
        assert values[4] > values[8] > 0
    if model == "resnet18":
        assert found["stage2.unit1.down"] == {4: 0.06931772 * 0.6827, 8: 0.06931772 * 0.0023}


def test_sensitivities_are_in_the_order_of_the_layers() -> None:
    """HAWQ's latencies, given in the same order, are alike where layers are alike: 1x1 after 3x3, then the shortcut."""
    published = json.loads(data_file("hawq_v3.json").read_text(encoding="utf-8"))["sensitivity"]["resnet50"]
    original = residual_network("original", (3, 4, 6, 3), bottleneck=True, stride_first=True)
    alike: dict[tuple[str, tuple[int, int, int]], list[float]] = {}
    for layer, seconds in zip(original.weight_layers[1:-1], published["latency_int8"], strict=True):
        alike.setdefault((layer.name[-5:], layer.gemm), []).append(seconds)
    groups = [group for (name, gemm), group in alike.items() if gemm[2] < 56**2]
    assert len(groups) > 10
    assert all(max(group) < 1.15 * min(group) for group in groups)


def refusal(text: str, ours: Network) -> str:
    with pytest.raises(UserError) as refused:
        parse_widths(text, ours)
    return str(refused.value)


def test_names_that_hawq_does_not_have() -> None:
    assert refusal("hawq-v3/latency-0.7", network("resnet18")) == (
        "hawq-v3 widths must be one of " + ", ".join((*hawq_names(network("resnet18")), *ALIASES))
        + ", not 'latency-0.7'; the nearest is 'latency-0.75'"
    )  # fmt: skip
    assert refusal("hawq-v3/int8", network("vgg16")) == "hawq-v3 has widths for resnet18, resnet50, not for vgg16"
    with pytest.raises(UserError, match=r"^hawq-v3 has sensitivities for resnet18, resnet50, not for alexnet$"):
        sensitivities(network("alexnet"))


def check_refused(config: dict[str, object], text: str, model: str = "resnet18") -> None:
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        hawq_layers(network(model), config, "the table")


def test_broken_dictionaries() -> None:
    config: dict[str, object] = dict(hawq_config(network("resnet18"), "low"))
    without = {name: bits for name, bits in config.items() if name != "stage3.unit1.quant_act"}
    check_refused(without, "the table: no stage3.unit1.quant_act, which layer 'stage3.unit1.conv1' needs")
    without = {name: bits for name, bits in config.items() if name != "quant_init_block_convbn"}
    check_refused(without, "the table: no quant_init_block_convbn or quant_init_convbn, which layer 'conv1' needs")
    check_refused(
        {**config, "stage1.unit1.quant_convbn9": 4},
        "the table: network resnet18 has no quantiser 'stage1.unit1.quant_convbn9'; "
        "the nearest is 'stage1.unit1.quant_convbn2'",
    )
    check_refused(
        {**config, "stage1.unit1.quant_act_int32": 8},
        "the table: all quant_act_int32 must have the same width, not 16 and 8",
    )
    check_refused(config, "the table: HAWQ has no quantisers for layer 'conv2' of network alexnet", "alexnet")
    check_refused(config, "the table: no stage1.unit1.quant_act2, which layer 'stage1.unit1.conv3' needs", "resnet50")


def test_a_dictionary_without_residual_widths() -> None:
    config = hawq_config(network("resnet18"), "low")
    layers, residual = hawq_layers(
        network("resnet18"), {name: bits for name, bits in config.items() if "int32" not in name}, "the table"
    )
    assert residual is None
    assert layers == parse_widths("hawq-v3/low", network("resnet18")).layers
