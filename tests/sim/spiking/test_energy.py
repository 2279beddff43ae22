"""Constants of energy say where they are from; energies by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sim.errors import UserError
from sim.models import data_file
from sim.spiking.energy import EnergyConstants, load_energy, mapping_energy_pj, operation_energy_pj
from sim.spiking.stationarity import Demand, map_layers

MADE = EnergyConstants(operation_bit=0.5, buffer_bit=2.0, dram_bit=10.0)
LAYER = Demand(
    name="layer", weights=100, potentials=40, used_weights=50, reached_potentials=10, operations=3, potential_width=8
)


def test_energies_by_hand() -> None:
    assert operation_energy_pj(LAYER, MADE) == 12
    mapping = map_layers([LAYER], 100, "weights", "events")
    assert mapping_energy_pj([LAYER], mapping, MADE, "buffer") == 12 + 20 * 2
    assert mapping_energy_pj([LAYER], mapping, MADE, "dram") == 12 + 20 * 10


def test_the_packaged_operation_is_the_published_one() -> None:
    """5.7 pJ for 8-bit weights and 16-bit potentials."""
    assert load_energy().operation_bit * 16 == pytest.approx(5.7)


def test_a_memory_of_another_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"^memory must be one of buffer, dram, got 'disk'$"):
        MADE.moved_bit("disk")


@pytest.mark.parametrize(
    ("name", "entry", "text"),
    [
        ("dram_bit", None, "must have the constants operation_bit, buffer_bit, dram_bit"),
        ("dram_bit", {"value": 0}, "dram_bit must have a value above 0, got 0"),
        ("dram_bit", {"value": True}, "dram_bit must have a value above 0, got True"),
        (
            "dram_bit",
            {"certainty": "sure"},
            "dram_bit must have the unit pJ, a source, and a certainty of published, .*",
        ),
        ("dram_bit", {"unit": "fJ"}, "dram_bit must have the unit pJ, a source, and a certainty of published, .*"),
        ("dram_bit", {"source": ""}, "dram_bit must have the unit pJ, a source, and a certainty of published, .*"),
    ],
)
def test_incomplete_files_are_refused(name: str, entry: dict[str, Any] | None, text: str, tmp_path: Path) -> None:
    content = json.loads(data_file("spiking/energy.json").read_text(encoding="utf-8"))
    if entry is None:
        del content["constants"][name]
    else:
        content["constants"][name] |= entry
    path = tmp_path / "energy.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        load_energy(path)
    assert re.fullmatch(f"energy file {path}:? {text}", str(refused.value))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=f"^energy file {path} is no JSON: "):
        load_energy(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=f"^energy file {path} must have the constants "):
        load_energy(path)
