"""Widths as users give them, and every way to give them wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.errors import UserError
from sim.evaluate.hawq import hawq_config
from sim.evaluate.widths import Widths, default_widths, parse_widths
from sim.networks.load import load_network
from sim.networks.named import NETWORKS
from sim.networks.network import Network


@pytest.fixture(scope="module")
def resnet8() -> Network:
    return load_network("resnet8")


@pytest.fixture(scope="module")
def alexnet() -> Network:
    return NETWORKS["alexnet"]()


def written(folder: Path, content: Any, name: str = "bits.json") -> str:
    """A file of widths."""
    file = folder / name
    if isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    else:
        file.write_text(json.dumps(content) if name.endswith("json") else yaml.safe_dump(content), encoding="utf-8")
    return str(file)


def refusal(text: str, network: Network) -> str:
    with pytest.raises(UserError) as refused:
        parse_widths(text, network)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_number_is_for_all_layers(alexnet: Network, bits: int) -> None:
    widths = parse_widths(str(bits), alexnet)
    assert widths == Widths(uniform=bits, label=str(bits))
    assert {widths.of(layer.name) for layer in alexnet.weight_layers} == {(bits, bits)}
    assert widths.residual_bits is None


def test_defaults(alexnet: Network, resnet8: Network) -> None:
    assert default_widths(alexnet) == Widths(uniform=8, label="8")
    assert default_widths(resnet8) == Widths(label="own") == parse_widths("own", resnet8)
    assert default_widths(resnet8).own


def test_layers_go_before_the_uniform_width() -> None:
    widths = Widths(uniform=8, layers={"conv1": (3, 4)})
    assert (widths.of("conv1"), widths.of("conv2")) == ((3, 4), (8, 8))
    with pytest.raises(KeyError):
        Widths(layers={"conv1": (3, 4)}).of("conv2")


@pytest.mark.parametrize("name", ["bits.json", "bits.yaml", "bits.YML"])
def test_a_table(tmp_path: Path, alexnet: Network, name: str) -> None:
    table = {layer.name: 4 for layer in alexnet.weight_layers} | {"conv2": {"activation": 6, "weight": 3}}
    file = written(tmp_path, table, name)
    widths = parse_widths(file, alexnet)
    assert widths.layers == {layer.name: (4, 4) for layer in alexnet.weight_layers} | {"conv2": (6, 3)}
    assert (widths.uniform, widths.residual_bits, widths.label) == (None, None, file)


def test_a_default_stands_for_what_is_left_out(tmp_path: Path, alexnet: Network) -> None:
    table = {"default": {"activation": 5, "weight": 2}, "conv1": 8, "conv3": {"weight": 7}}
    widths = parse_widths(written(tmp_path, table), alexnet)
    rest = {layer.name: (5, 2) for layer in alexnet.weight_layers}
    assert widths.layers == rest | {"conv1": (8, 8), "conv3": (5, 7)}
    assert list(widths.layers) == [layer.name for layer in alexnet.weight_layers]


def test_a_default_of_an_imported_network_is_the_uniform_width(tmp_path: Path, resnet8: Network) -> None:
    widths = parse_widths(written(tmp_path, {"default": 4}), resnet8)
    assert resnet8.shapes(widths) == resnet8.shapes(Widths(uniform=4))
    widths = parse_widths(written(tmp_path, {"default": 4, "add1": {"activation": 6}}), resnet8)
    assert widths.of("add1")[0] == 6
    shape = next(shape for shape in resnet8.shapes(widths) if shape.name == "add1")
    assert shape.activation_bits == (6, 6)


def test_a_residual_width(tmp_path: Path) -> None:
    network = NETWORKS["resnet50"]()
    widths = parse_widths(written(tmp_path, {"default": 4, "residual": 12}), network)
    assert widths.residual_bits == 12
    assert any(shape.op == "quantize" for shape in network.shapes(widths))


@pytest.mark.parametrize("name", ["bits.json", "bits.yaml"])
@pytest.mark.parametrize("model", ["resnet18", "resnet50"])
def test_dictionaries_of_hawq_as_they_are(tmp_path: Path, model: str, name: str) -> None:
    network = NETWORKS[model]()
    for config in ("low", "size-0.5"):
        file = written(tmp_path, dict(hawq_config(network, config)), name)
        named = parse_widths(f"hawq-v3/{config}", network)
        assert parse_widths(file, network) == Widths(layers=named.layers, residual_bits=named.residual_bits, label=file)


def test_a_dictionary_in_the_notation_of_python_is_yaml(tmp_path: Path) -> None:
    network = NETWORKS["resnet18"]()
    file = written(tmp_path, f"{dict(hawq_config(network, 'medium'))!r}\n", "bits.yaml")
    assert parse_widths(file, network).layers == parse_widths("hawq-v3/medium", network).layers


def test_texts_that_are_nothing(alexnet: Network) -> None:
    rule = "bits must be a number from 1 to 16, own, a name like hawq-v3/latency-0.75, or a .json or .yaml file"
    assert refusal("eight", alexnet) == f"{rule}, not 'eight'"
    assert refusal("4.5", alexnet) == f"{rule}, not '4.5'"
    assert refusal("", alexnet) == f"{rule}, not ''"
    resnet18 = NETWORKS["resnet18"]()
    assert refusal("hawq/latency-0.75", resnet18) == (
        f"{rule}, not 'hawq/latency-0.75'; the nearest is 'hawq-v3/latency-0.75'"
    )


@pytest.mark.parametrize("text", ["0", "17", "-4", "1000000"])
def test_numbers_out_of_range(alexnet: Network, text: str) -> None:
    assert refusal(text, alexnet) == f"the width must be a whole number from 1 to 16, not {text}"


def test_own_widths_of_a_network_without_any(alexnet: Network) -> None:
    assert refusal("own", alexnet) == "network alexnet has no widths of its own; give a number from 1 to 16"
    with pytest.raises(UserError, match=r"^network alexnet has no widths of its own"):
        alexnet.shapes(Widths())


def test_residual_widths_of_a_network_that_takes_none(alexnet: Network, resnet8: Network, tmp_path: Path) -> None:
    for network in (alexnet, resnet8):
        text = (
            f"network {network.name} takes no residual width: it adds no maps, or the widths of its maps follow from "
            "its graph"
        )
        with pytest.raises(UserError) as refused:
            network.shapes(Widths(uniform=8, residual_bits=16))
        assert str(refused.value) == text
        file = written(tmp_path, {"default": 8, "residual": 16})
        assert refusal(file, network) == f"widths file {file}: {text}"


WRONG_TABLES: list[tuple[object, str]] = [
    ({"conv1": 8}, "no widths for layer 'conv2' and 6 more of network alexnet, and no default"),
    (
        {"conv1": 8, "conv2": 8, "conv3": 8, "conv4": 8, "conv5": 8, "fc6": 8, "fc8": 8},
        "no widths for layer 'fc7' of network alexnet, and no default",
    ),
    ({}, "no widths for layer 'conv1' of network alexnet, and no default"),
    ({"residual": 8}, "no widths for layer 'conv1' of network alexnet, and no default"),
    ({"default": 8, "conv7": 4}, "network alexnet has no layer 'conv7'; the nearest is 'conv5'"),
    ({"default": 8, "conv2": 0}, "layer 'conv2': the activation width must be a whole number from 1 to 16, not 0"),
    (
        {"default": 8, "conv2": {"weight": 17}},
        "layer 'conv2': the weight width must be a whole number from 1 to 16, not 17",
    ),
    (
        {"default": 8, "conv2": 4.5},
        "layer 'conv2': the activation width must be a whole number from 1 to 16, not 4.5",
    ),
    (
        {"default": 8, "conv2": True},
        "layer 'conv2': the activation width must be a whole number from 1 to 16, not True",
    ),
    ({"default": "x"}, "layer 'conv1': the activation width must be a whole number from 1 to 16, not 'x'"),
    ({"conv2": {"activation": 4}}, "layer 'conv2': no weight width"),
    ({"default": 8, "conv2": None}, "layer 'conv2': no activation width"),
    ({"default": 8, "conv2": {"bits": 4}}, "layer 'conv2': a width is of 'activation' or 'weight', not of 'bits'"),
]


@pytest.mark.parametrize(("table", "text"), WRONG_TABLES)
@pytest.mark.parametrize("name", ["bits.json", "bits.yaml"])
def test_wrong_tables(tmp_path: Path, alexnet: Network, table: object, text: str, name: str) -> None:
    file = written(tmp_path, table, name)
    assert refusal(file, alexnet) == f"widths file {file}: {text}"


def test_wrong_residual_widths(tmp_path: Path) -> None:
    file = written(tmp_path, {"default": 8, "residual": 33})
    assert refusal(file, NETWORKS["resnet18"]()) == (
        f"widths file {file}: the residual width must be a whole number from 1 to 16, not 33"
    )


def test_weights_of_a_layer_without_any(tmp_path: Path, resnet8: Network) -> None:
    file = written(tmp_path, {"default": 8, "add1": {"weight": 4}})
    assert refusal(file, resnet8) == (
        f"widths file {file}: layer 'add1' has no weights; only an 'activation' width can be given"
    )


def test_wrong_dictionaries_of_hawq(tmp_path: Path) -> None:
    file = written(tmp_path, {"quant_input": 8})
    assert refusal(file, NETWORKS["resnet18"]()) == (
        f"widths file {file}: HAWQ's bit_config: no quant_init_block_convbn or quant_init_convbn, which layer 'conv1' "
        "needs"
    )
    wide = {**hawq_config(NETWORKS["resnet18"](), "low"), "stage2.unit1.quant_convbn1": 32}
    file = written(tmp_path, wide)
    assert refusal(file, NETWORKS["resnet18"]()) == (
        f"widths file {file}: layer 'stage2.unit1.conv1': the weight width must be a whole number from 1 to 16, not 32"
    )


def test_files_that_are_no_tables(tmp_path: Path, alexnet: Network) -> None:
    missing = str(tmp_path / "none.json")
    assert refusal(missing, alexnet) == f"widths file {missing} does not exist"
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    assert refusal(str(folder), alexnet) == f"widths file {folder} must be a file, it is a folder"
    for content, kind in (("[1, 2]", "list"), ("4", "int"), ("null", "NoneType")):
        for name in ("bits.json", "bits.yaml"):
            file = written(tmp_path, content, name)
            assert refusal(file, alexnet) == f"widths file {file} must be an object of layer names, is {kind}"
    file = written(tmp_path, "{", "bits.json")
    assert refusal(file, alexnet).startswith(f"widths file {file} must be JSON: Expecting property name")
    file = written(tmp_path, "{", "bits.yaml")
    assert refusal(file, alexnet).startswith(f"widths file {file} must be YAML: while parsing a flow node")
    file = written(tmp_path, "[" * 100_000, "bits.json")
    assert refusal(file, alexnet).startswith(f"widths file {file} must be JSON: ")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\xfa")
    assert refusal(str(tmp_path / "bytes.json"), alexnet).startswith(f"widths file {tmp_path}/bytes.json must be JSON")


def test_widths_for_another_network(alexnet: Network, resnet8: Network) -> None:
    eight = Widths(layers={layer.name: (8, 8) for layer in alexnet.weight_layers})
    eight.check(alexnet)
    with pytest.raises(UserError, match=r"^network vgg16 has no layer 'conv1'; the nearest is 'conv5_1'$"):
        NETWORKS["vgg16"]().shapes(eight)
    with pytest.raises(UserError, match=r"^network resnet8 has no layer 'fc6'; the nearest is 'fc1'$"):
        resnet8.shapes(eight)
    with pytest.raises(UserError, match=r"^no widths for layer 'fc8' of network alexnet, and no default$"):
        alexnet.shapes(Widths(layers={name: pair for name, pair in eight.layers.items() if name != "fc8"}))
    with pytest.raises(UserError, match=r"^layer 'conv1': the weight width must be a whole number"):
        Widths(layers={"conv1": (8, 0)})
