"""The networks that come with the package, and how a user names one."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path

from golden.graph import Graph
from sim.errors import UserError
from sim.options import nearest

__all__ = ["CLASSES", "MODELS", "MODEL_FILES", "data_file", "load_model"]

MODELS = {"resnet8": "resnet8_int8.tflite"}
"""Built-in networks: name and file in the package's data."""

CLASSES = {
    "resnet8": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""Names of the classes of built-in networks, whose files do not hold them."""


MODEL_FILES = (".tflite", ".onnx")
"""Endings of the files that can be imported."""


def data_file(name: str) -> Path:
    """Return the path of a file in the package's data."""
    return Path(str(importlib.resources.files("sim"))) / "data" / name


def load_model(name_or_file: str) -> Graph:
    """Return the integer graph of a built-in network, or of a ``.tflite`` or ``.onnx`` file.

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
        raise UserError(
            f"model must be one of {', '.join(MODELS)} or a {' or '.join(MODEL_FILES)} file, not {name_or_file!r}"
            f"{nearest(name_or_file, MODELS)}"
        )
    return onnx_graph.load(name_or_file) if suffix == ".onnx" else tflite.load(name_or_file)
