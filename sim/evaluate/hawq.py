"""What HAWQ-V3 has published for ResNet18 and ResNet50: widths, accuracies and sensitivities (arXiv:2011.10680).

Widths are dictionaries of HAWQ's quantisers, as its ``bit_config.py`` has them; they become widths of layers by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sim.errors import UserError
from sim.options import nearest

if TYPE_CHECKING:
    from sim.networks.network import Network

__all__ = ["ALIASES", "HawqResult", "hawq_config", "hawq_layers", "hawq_names", "hawq_results", "sensitivities"]

ALIASES = {
    "int8": "uniform8",
    "int4": "uniform4",
    "high": "latency-0.75",
    "medium": "latency-0.5",
    "low": "latency-0.25",
}
"""Short names of configurations: budgets of latency, and both ends."""

_FILE_NAMES = {"modelsize_": "size-", "bops_": "bops-", "latency_": "latency-"}

_SCHEMES = {"W8A8": "uniform8", "W4A4": "uniform4"} | {
    f"Mixed Precision {level} {budget}": f"{name}-{part}"
    for budget, name in (("Size", "size"), ("BOPS", "bops"), ("Latency", "latency"))
    for level, part in (("High", "0.75"), ("Medium", "0.5"), ("Low", "0.25"))
}
"""Names of configurations by those that HAWQ's table of results has."""

_RESIDUAL = "quant_act_int32"

_ENDS = {
    "conv1": ("quant_input", ("quant_init_block_convbn", "quant_init_convbn")),
    "fc": ("quant_act_output", ("quant_output",)),
}
"""Quantisers of the input and of the weights (one of them) of the first and the last layer."""

_UNIT = {
    "conv1": ("quant_act", "quant_convbn1"),
    "conv2": ("quant_act1", "quant_convbn2"),
    "conv3": ("quant_act2", "quant_convbn3"),
    "down": ("quant_act", "quant_identity_convbn"),
}
"""Quantisers of the input and of the weights of a unit's layers; ``down`` reads the same map as ``conv1``."""


@dataclass(frozen=True)
class HawqResult:
    """What HAWQ's authors report for a configuration.

    Parameters
    ----------
    scheme : its name in their table.
    size_mb : of the weights, megabytes.
    bops_g : bit operations, MACs x activation bits x weight bits, in thousands of millions.
    speedup : against floating point on a T4 GPU.
    top1 : accuracy on ImageNet, percent.
    """

    scheme: str
    size_mb: float
    bops_g: float
    speedup: float
    top1: float


def hawq_names(network: Network) -> tuple[str, ...]:
    """The configurations of a network: "uniform8", "latency-0.75" and so on; without those that HAWQ does not have."""
    return tuple(_configs(network.name))


def hawq_config(network: Network, name: str) -> Mapping[str, int]:
    """HAWQ's dictionary for a network: bits by quantiser.

    Parameters
    ----------
    name : one of :func:`hawq_names` or of :data:`ALIASES`.

    Raises
    ------
    UserError
        If there is none for this network or of this name.
    """
    configs = _configs(network.name)
    if not configs:
        raise UserError(f"hawq-v3 has widths for {', '.join(_data()['results'])}, not for {network.name}")
    canonical = ALIASES.get(name, name)
    if canonical not in configs:
        names = (*configs, *ALIASES)
        raise UserError(f"hawq-v3 widths must be one of {', '.join(names)}, not {name!r}{nearest(name, names)}")
    return configs[canonical]


def hawq_layers(
    network: Network, config: Mapping[str, object], where: str
) -> tuple[dict[str, tuple[int, int]], int | None]:
    """Widths of layers, (activation bits, weight bits), and of the residual stream from a dictionary of HAWQ's.

    Parameters
    ----------
    config : bits by quantiser; values are checked by nobody yet.
    where : how an error names the dictionary.

    Raises
    ------
    UserError
        If a layer of the network has no quantiser, in HAWQ or in the dictionary, or the dictionary has another one.
    """
    unread = dict(config)
    layers: dict[str, tuple[int, int]] = {}
    known: list[str] = []
    for layer in network.weight_layers:
        activation, weights = _quantisers(layer.name, network.name, where)
        found: list[Any] = []
        for names in ((activation,), weights):
            known += names
            name = next((name for name in names if name in config), None)
            if name is None:
                raise UserError(f"{where}: no {' or '.join(names)}, which layer {layer.name!r} needs")
            unread.pop(name, None)
            found.append(config[name])
        layers[layer.name] = (found[0], found[1])
    residual = {name: unread.pop(name) for name in list(unread) if name.rpartition(".")[2] == _RESIDUAL}
    if unread:
        name = next(iter(unread))
        raise UserError(f"{where}: network {network.name} has no quantiser {name!r}{nearest(name, known)}")
    different = sorted({str(bits) for bits in residual.values()})
    if len(different) > 1:
        raise UserError(f"{where}: all {_RESIDUAL} must have the same width, not {' and '.join(different)}")
    bits: Any = next(iter(residual.values()), None)
    return layers, bits


def _quantisers(layer: str, network: str, where: str) -> tuple[str, tuple[str, ...]]:
    """The names of a layer's quantisers: of its input, and those that may be that of its weights."""
    unit, _, last = layer.rpartition(".")
    if not unit and layer in _ENDS:
        return _ENDS[layer]
    if unit and last in _UNIT:
        activation, weights = _UNIT[last]
        return f"{unit}.{activation}", (f"{unit}.{weights}",)
    raise UserError(f"{where}: HAWQ has no quantisers for layer {layer!r} of network {network}")


def hawq_results(network: Network) -> dict[str, HawqResult]:
    """Published accuracy, size and bit operations of every configuration of a network, by name; empty without any.

    Those of ResNet50 are for the original, whose units have their stride in the first 1x1 convolution (3.858 GMAC, as
    its published bit operations show); layers, names, widths and parameters are the same.
    """
    results: dict[str, HawqResult] = {}
    for entry in _data()["results"].get(network.name, ()):
        if entry["scheme"] in _SCHEMES:
            results[_SCHEMES[entry["scheme"]]] = HawqResult(
                entry["scheme"], entry["size_mb"], entry["bops_g"], entry["speedup_t4"], entry["top1"]
            )
    return results


def sensitivities(network: Network) -> dict[str, dict[int, float]]:
    """HAWQ-V3's sensitivity of every layer but the first and the last, by width (4 and 8).

    It is the layer's normalised Hessian trace x the squared perturbation of its weights at that width, so that
    sensitivities of layers can be added.

    Raises
    ------
    UserError
        If HAWQ has none for this network.
    """
    published = _data()["sensitivity"]
    if network.name not in published:
        raise UserError(f"hawq-v3 has sensitivities for {', '.join(published)}, not for {network.name}")
    values = published[network.name]
    perturbations = {bits: values[f"delta_weights_{bits}bit_square"] for bits in (4, 8)}
    names = [layer.name for layer in network.weight_layers[1:-1]]
    return {
        name: {bits: trace * squares[index] for bits, squares in perturbations.items()}
        for index, (name, trace) in enumerate(zip(names, values["Hutchinson_trace"], strict=True))
    }


def _configs(network: str) -> dict[str, Mapping[str, int]]:
    """The configurations of a network by the names that users give."""
    configs: dict[str, Mapping[str, int]] = {}
    for name, config in _data()["configs"].items():
        model, _, kind = name.partition("_")
        if model == network:
            for old, new in _FILE_NAMES.items():
                kind = kind.replace(old, new)
            configs[kind] = config
    return configs


@cache
def _data() -> dict[str, Any]:
    from sim.models import data_file

    return json.loads(data_file("hawq_v3.json").read_text(encoding="utf-8"))
