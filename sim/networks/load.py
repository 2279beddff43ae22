"""How a user names a network: built in, with weights or without, or a file."""

from __future__ import annotations

from pathlib import Path

from sim.errors import UserError
from sim.networks.named import NETWORKS
from sim.networks.network import Network
from sim.options import nearest

__all__ = ["load_network"]


def load_network(name_or_file: str) -> Network:
    """A network by name, or from a ``.tflite`` or ``.onnx`` file.

    Raises
    ------
    UserError
        If it is neither.
    ModelError
        If the file cannot be imported.
    """
    if name_or_file in NETWORKS:
        return NETWORKS[name_or_file]()
    from sim.models import MODELS, load_model
    from sim.networks.imported import ImportedNetwork

    suffix = Path(name_or_file).suffix.lower()
    if name_or_file in MODELS or suffix == ".tflite":
        graph = load_model(name_or_file)
    elif suffix == ".onnx":
        from sim.importers import onnx_graph

        graph = onnx_graph.load(name_or_file)
    else:
        names = (*NETWORKS, *MODELS)
        raise UserError(
            f"network must be one of {', '.join(names)}, or a .tflite or .onnx file, not {name_or_file!r}"
            f"{nearest(name_or_file, names)}"
        )
    return ImportedNetwork(graph.name, graph)
