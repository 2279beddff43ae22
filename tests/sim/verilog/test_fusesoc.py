"""The FuseSoC core: YAML below its header, whose files are there and whose targets name file sets that are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS
from sim.verilog.fusesoc import core_file
from sim.verilog.package import make_package
from sim.verilog.parts import Part, find_part

CLUSTER = Part("cluster", ACCELERATORS["meshtiny"])


@pytest.mark.parametrize("benched", [True, False])
def test_files_are_there_and_names_match(benched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    part = find_part(CONFIGS["tiny"]) if benched else CLUSTER
    monkeypatch.setattr(Part, "verilog", lambda part: f"module {part.top} (clk);\n")
    package = make_package(part, "some-tile.1", 10.0)
    text = package.files["some-tile.1.core"]
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    named = [name for files in core["filesets"].values() for entry in files["files"] for name in entry]
    assert set(named) == {"some-tile.1.v", *package.files} - {"some-tile.1.core"}
    for target in core["targets"].values():
        assert set(target["filesets"]) <= core["filesets"].keys()
        assert target["toplevel"] in (part.top, f"{part.top}_tb")
    assert ("sim" in core["targets"]) == benched
    if benched:
        assert f"module {part.top}_tb;" in package.files["some-tile.1_tb.v"]
        vectors = {name: entry[name] for entry in core["filesets"]["tb"]["files"] for name in entry if "hex" in name}
        assert all(options["copyto"] == name for name, options in vectors.items())
        assert len(vectors) == 4


@pytest.mark.parametrize(
    ("config", "version", "name"),
    [("tiny", "0.1.0", "bfimna:tile:tiny:0.1.0"), ("a-b.c", "1.2.dev3+x", "bfimna:tile:a_b_c:1.2")],
)
def test_name(config: str, version: str, name: str) -> None:
    core = yaml.safe_load(core_file("x", "tile", config, version, "d", []).partition("\n")[2])
    assert core["name"] == name


def test_no_path_in_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in core_file("x", "tile", "tiny", "0.1.0", "d", ["x_tb_in.hex"])
