"""The networks that come with the package, trained or with random weights, and how a user names one."""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Iterable
from pathlib import Path

from golden.graph import Graph
from sim.errors import UserError
from sim.options import nearest

__all__ = ["CLASSES", "MODELS", "MODEL_FILES", "PICTURE", "data_file", "load_described", "load_model"]

MODELS = {"resnet8": "resnet8_int8.tflite"}
"""Built-in networks: name and file in the package's data."""

CLASSES = {
    "resnet8": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""Names of the classes of built-in networks, whose files do not hold them."""


PICTURE = "hopper.png"
"""Packaged picture that constants of networks with random weights are calibrated on, and which they run by default."""

MODEL_FILES = (".tflite", ".onnx")
"""Endings of the files that can be imported."""


def data_file(name: str) -> Path:
    """Return the path of a file in the package's data."""
    return Path(str(importlib.resources.files("sim"))) / "data" / name


def load_described(name: str, bits: str | None) -> Graph:
    """Return a network of :data:`sim.networks.named.NETWORKS` with random weights (:mod:`sim.networks.weights`).

    Parameters
    ----------
    name : of the network.
    bits : widths as :func:`sim.evaluate.widths.parse_widths` takes them; None for 8.

    Raises
    ------
    UserError
        If the widths are not for this network.
    """
    from PIL import Image

    from sim.evaluate.widths import default_widths, parse_widths
    from sim.networks.named import NETWORKS
    from sim.networks.weights import weighted_graph
    from sim.pictures import fitted

    network = NETWORKS[name]()
    widths = default_widths(network) if bits is None else parse_widths(bits, network)
    with Image.open(data_file(PICTURE)) as picture:
        return weighted_graph(network, widths, fitted(picture, *network.input_size[:2]))


def load_model(name_or_file: str, others: Iterable[str] = ()) -> Graph:
    """Return the integer graph of a trained built-in network, or of a ``.tflite`` or ``.onnx`` file.

    Errors offer the names *others* too.

    Raises
    ------
    UserError
        If it is none of them.
    ModelError
        If the file cannot be imported.
    """
    from sim.importers import onnx_graph, tflite

    if name_or_file in MODELS:
        graph = tflite.load(data_file(MODELS[name_or_file]), name_or_file)
        return dataclasses.replace(graph, classes=CLASSES.get(name_or_file, ()))
    suffix = Path(name_or_file).suffix.lower()
    if suffix not in MODEL_FILES:
        names = (*MODELS, *others)
        raise UserError(
            f"model must be one of {', '.join(names)} or a {' or '.join(MODEL_FILES)} file, not {name_or_file!r}"
            f"{nearest(name_or_file, names)}"
        )
    return onnx_graph.load(name_or_file) if suffix == ".onnx" else tflite.load(name_or_file)
