"""What ``bfimna run digits-snn`` is given: options that a spiking network has, and pictures of digits."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hw.config import load_config
from hw.flexspim.config import load_macro
from sim.errors import UserError
from sim.files import read_input
from sim.options import MODES, nearest
from sim.spiking.digits import RESOLUTIONS, digits_network, packaged_digits
from sim.spiking.network import SpikingNetwork
from sim.spiking.run import ARRAYS, ENGINES, SpikingInput, SpikingRequest

__all__ = ["load_pictures", "prepare_spiking"]

LABEL = re.compile(r"_(\d)$")
"""How the name of a picture ends that says its class."""


def prepare_spiking(arguments: argparse.Namespace) -> SpikingRequest:
    """Read what the command line names, quickest first, and refuse what does not fit.

    Raises
    ------
    UserError
        If an option is not for spiking networks, or a picture is not one of theirs.
    """
    model = arguments.model
    for option, value, only in (
        ("--mode", arguments.mode, MODES[0]),
        ("--jobs", arguments.jobs, 1),
        ("--cluster", arguments.cluster, None),
        ("--resume", arguments.resume, False),
        ("--independent", arguments.independent, False),
    ):
        if value != only:
            raise UserError(f"{option} is not for {model}, a spiking network")
    resolution = arguments.bits or RESOLUTIONS[0]
    if resolution not in RESOLUTIONS:
        raise UserError(f"--bits must be one of {', '.join(RESOLUTIONS)} for {model}, not {resolution!r}")
    array = arguments.array or ARRAYS[0]
    if array not in ARRAYS:
        raise UserError(f"--array must be one of {', '.join(ARRAYS)}, not {array!r}{nearest(array, ARRAYS)}")
    given = None if arguments.config == "cap" else arguments.config  # of tiles the usual one
    tile = None if given is None or array != "ap" else load_config(given)
    macro = None if given is None or array == "ap" else load_macro(given)
    engines = [engine for known, engine in ENGINES if known == array]
    if arguments.engine not in engines:
        raise UserError(f"--engine must be {' or '.join(engines)} for {model} on array {array}, not {arguments.engine}")
    network = digits_network(resolution)
    return SpikingRequest(
        model=model,
        network=network,
        array=array,
        engine=arguments.engine,
        inputs=_packaged() if arguments.input is None else load_pictures(arguments.input, network),
        seed=arguments.seed,
        simulator=arguments.sim,
        tile=tile,
        macro=macro,
    )


def load_pictures(files: Sequence[str | Path], network: SpikingNetwork) -> list[SpikingInput]:
    """Return pictures of digits, bright on dark, from picture files and arrays.

    Parameters
    ----------
    files : grey pictures of the network's size, or ``.npy`` arrays of 8-bit brightness, (height, width) or (N, height,
        width). A name that ends in ``_3`` says that the class is 3.
    network : whose input they are.

    Raises
    ------
    UserError
        If a file cannot be read, or is of another size or kind.
    """
    height, width, _ = network.layers[0].synapses.input_shape
    inputs: list[SpikingInput] = []
    for file in files:
        name = str(file)
        content = read_input(file, "input")
        pixels = _array(name, content) if name.lower().endswith(".npy") else _picture(name, content)
        if pixels.ndim not in (2, 3) or pixels.shape[-2:] != (height, width) or not len(pixels):
            found = "x".join(map(str, pixels.shape)) or "a single number"
            raise UserError(f"input {name} must be {height}x{width} or Nx{height}x{width}, not {found}")
        label = LABEL.search(Path(name).stem)
        several = pixels.ndim == 3
        inputs += [
            SpikingInput(
                file=f"{name}[{number}]" if several else name,
                picture=picture,
                label=None if label is None else int(label[1]),
            )
            for number, picture in enumerate(pixels if several else pixels[np.newaxis])
        ]
    return inputs


def _packaged() -> list[SpikingInput]:
    """The packaged test digits."""
    digits = packaged_digits()
    return [
        SpikingInput(file=f"digits/test.npz[{number}]", picture=picture, label=int(label))
        for number, (picture, label) in enumerate(zip(digits.pictures, digits.labels, strict=True))
    ]


def _array(name: str, content: bytes) -> NDArray[np.uint8]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"input {name} is not a readable .npy file") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        found = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise UserError(f"input {name} must hold 8-bit numbers (uint8), not {found}")
    return array


def _picture(name: str, content: bytes) -> NDArray[np.uint8]:
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except Exception as error:  # Pillow's readers raise whatever damage leads them to
        raise UserError(f"input {name} is not a readable picture or .npy file") from error
    if picture.mode != "L":
        raise UserError(f"input {name} must be a grey picture of 8 bits, not of kind {picture.mode}")
    return np.asarray(picture, np.uint8)
