"""Technologies: packaged files, files of a user's own with every way to get them wrong, supply scaling."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from hw.config import CONFIGS
from sim.errors import UserError
from sim.evaluate.technology import (
    CERTAINTIES,
    CONSTANTS,
    TECHNOLOGIES,
    Technology,
    load_technology,
    parse_technology,
)

NAMES = ", ".join(TECHNOLOGIES)
ONE = {"value": 2.0, "unit": "fJ", "source": "a paper", "certainty": "published"}


def own(constants: object, **fields: object) -> str:
    """A file that changes some constants of sram."""
    return json.dumps({"base": "sram", "constants": constants, **fields})


def changed(constant: str, **fields: Any) -> str:
    """The same, of one constant with other fields than :data:`ONE` has."""
    return own({constant: {**ONE, **fields}})


def refused(content: str) -> str:
    """The text with which a file is refused, without its origin."""
    with pytest.raises(UserError) as error:
        parse_technology(content, "mine", "file mine.json")
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("file mine.json")
    return text.removeprefix("file mine.json").removeprefix(":").strip()


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_packaged_technologies_are_whole(name: str) -> None:
    technology = load_technology(name)
    assert technology.name == name
    assert technology.description
    assert list(technology.constants) == list(CONSTANTS)
    for constant in technology.constants.values():
        assert constant.certainty in CERTAINTIES
        assert len(constant.source) > 10
        assert constant.certainty != "derived" or constant.note, constant


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_an_assumption_is_told(name: str) -> None:
    technology = load_technology(name)
    told = {text.split(" = ")[0] for text in technology.assumptions if " = " in text}
    assert told == {
        constant
        for constant, given in technology.constants.items()
        if given.certainty == "assumption" and CONSTANTS[constant].parts
    }
    assert all(re.fullmatch(r"[^\n]*\.", text) for text in technology.assumptions)


def test_every_certainty_is_used() -> None:
    assert {given.certainty for name in TECHNOLOGIES for given in load_technology(name).constants.values()} == set(
        CERTAINTIES
    )


def test_activity_that_was_measured_once_is_told_as_carried_over() -> None:
    sentence = "matching_rows and tagged_rows of ResNet-8 stand for all networks and modes."
    assert sentence in load_technology("sram").assumptions
    assert sentence not in load_technology("sram").with_constants(matching_rows=0.5, tagged_rows=0.5).assumptions


@pytest.mark.slow  # ResNet-8 on the golden tile, twice
def test_measured_constants_are_what_the_script_measures() -> None:
    script = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "activity.py"))
    measured = {
        mode: [f"{share:.5f}" for share in script["shares"](mode, CONFIGS[config].replace(activity=True))]
        for mode, config in script["CASES"]
    }
    constants = [load_technology("sram").constants[name] for name in ("matching_rows", "tagged_rows")]
    assert [f"{constant.value:.5f}" for constant in constants] == measured["count"]
    for constant, share in zip(constants, measured["lut"], strict=True):
        assert constant.source == "python scripts/activity.py"
        assert f"{share} in mode lut on cap2d" in constant.note


def test_a_file_of_a_users_own_starts_from_a_packaged_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(own({"compare_mismatch": ONE, "compare_match": 1}, description="my cells"), encoding="utf-8")
    technology, base = load_technology(str(file)), load_technology("sram")
    assert (technology.name, technology.description) == ("mine", "my cells")
    assert technology["compare_mismatch"] == 2.0
    assert technology.constants["compare_mismatch"].certainty == "published"
    assert (technology["compare_match"], technology.constants["compare_match"].certainty) == (1, "assumption")
    assert any(text.startswith("compare_match = 1 fJ") for text in technology.assumptions)
    changes = ("compare_match", "compare_mismatch")
    assert {name: technology.constants[name] for name in CONSTANTS if name not in changes} == {
        name: base.constants[name] for name in CONSTANTS if name not in changes
    }


def test_a_technology_is_its_file() -> None:
    technology = load_technology("reram")
    again = parse_technology(json.dumps(technology.as_dict()), "other", "file")
    assert again == technology


def test_a_plain_number_keeps_what_does_not_follow_the_supply() -> None:
    technology = parse_technology(json.dumps({"base": "reram", "constants": {"write_cell": 5}}), "mine", "file")
    assert technology.at(0.8)["write_cell"] == 5


# --- mistakes in files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "must hold JSON: .*"),
        ("[]", "must be a JSON object, not list"),
        (own({}, bse=1), "must have the fields name, description, base, constants, not 'bse'; the nearest is 'base'"),
        (own({}, name=1), "name must be a text, not 1"),
        (json.dumps({"base": "srma"}), f"base must be one of {NAMES}, not 'srma'; the nearest is 'sram'"),
        (json.dumps({"base": 3}), "base must be a text, not 3"),
        (own([]), "constants must be a JSON object, not list"),
        (
            own({"compare_mach": 1}),
            "must have constants that there are, not 'compare_mach'; the nearest is 'compare_match'",
        ),
        (own({"compare_match": -1}), "compare_match must be a number from 0 on, not -1"),
        (own({"compare_match": "1"}), "compare_match must be a JSON object, not str"),
        (own({"compare_match": True}), "compare_match must be a JSON object, not bool"),
        (changed("compare_match", value=-0.5), "compare_match must be a number from 0 on, not -0.5"),
        (changed("compare_match", value="0.5"), "compare_match must be a number from 0 on, not '0.5'"),
        (changed("compare_match", value=True), "compare_match must be a number from 0 on, not True"),
        (own({"compare_match": float("nan")}), "compare_match must be a number from 0 on, not nan"),
        (own({"compare_match": float("inf")}), "compare_match must be a number from 0 on, not inf"),
        (own({"cycle_time": 0}), "cycle_time must be a number above 0, not 0"),
        (own({"matching_rows": 1.5}), "matching_rows must be a number from 0 to 1, not 1.5"),
        (changed("compare_match", unit="pJ"), "unit of compare_match must be 'fJ', not 'pJ'"),
        (
            changed("compare_match", certainty="publishd"),
            "certainty of compare_match must be one of published, derived, measured, assumption, not 'publishd'; "
            "the nearest is 'published'",
        ),
        (changed("compare_match", certainty=1), "certainty of compare_match must be one of .*, not 1"),
        (changed("compare_match", source=""), "source of compare_match must say where the value is from, it is empty"),
        (changed("compare_match", source=None), "source of compare_match must be a text, not None"),
        (changed("compare_match", note=2), "note of compare_match must be a text, not 2"),
        (changed("compare_match", fixed=1), "fixed of compare_match must be true or false, not 1"),
        (
            changed("compare_match", sorce="x"),
            "compare_match must have the fields value, unit, source, certainty, note, fixed, not 'sorce'; "
            "the nearest is 'source'",
        ),
        (
            own({"compare_match": {"value": 1, "unit": "fJ", "source": "x"}}),
            "compare_match must have the fields value, unit, source, certainty, not without 'certainty'",
        ),
        (
            json.dumps({"constants": {"compare_match": 1}}),
            f"must have all constants or a base, 'compare_mismatch' is missing and {len(CONSTANTS) - 2} more",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_line(content: str, text: str) -> None:
    assert re.fullmatch(text, refused(content))


def test_the_last_missing_constant_is_named_alone() -> None:
    constants = load_technology("sram").as_dict()["constants"]
    del constants["alpha"]
    assert refused(json.dumps({"constants": constants})) == "must have all constants or a base, 'alpha' is missing"


def test_supplies_must_be_in_order() -> None:
    with pytest.raises(UserError, match=r"^technology mine: threshold < minimum_supply <= supply <= maximum_supply must"
                                        r" hold, not 0\.35, 1\.2, 1, 1\.1$"):  # fmt: skip
        parse_technology(own({"minimum_supply": 1.2}), "mine", "file mine.json")


@pytest.mark.parametrize(("given", "hint"), [("srma", "; the nearest is 'sram'"), ("xyz", "")])
def test_an_unknown_technology_is_told_with_the_nearest(given: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        load_technology(given)
    assert str(error.value) == f"technology must be one of {NAMES} or a JSON file, not {given!r}{hint}"


def test_a_folder_is_no_technology(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^technology file .* must be a file, it is a folder$"):
        load_technology(str(tmp_path))


def test_objects_are_checked_as_files_are() -> None:
    technology = load_technology("sram")
    with pytest.raises(UserError, match=r"^technology x must have all constants, 'alpha' is missing$"):
        Technology("x", "", {name: value for name, value in technology.constants.items() if name != "alpha"})
    with pytest.raises(UserError, match=r"^technology x must have constants that there are, not 'beta'$"):
        Technology("x", "", {**technology.constants, "beta": technology.constants["alpha"]})


# --- other values, other supplies -----------------------------------------------------------------------------------


def test_other_values_are_assumptions() -> None:
    technology = load_technology("sram").with_constants(compare_mismatch=2.5)
    assert technology["compare_mismatch"] == 2.5
    assert (
        "compare_mismatch = 2.5 fJ (a compared cell of a row that does not match) is an assumption: given on request."
        in technology.assumptions
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"compare": 1.0}, "technology sram must have constants that there are, not 'compare'; the nearest is .*"),
        ({"write_cell": -1.0}, "technology sram: write_cell must be a number from 0 on, not -1.0"),
    ],
)
def test_other_values_are_checked(values: dict[str, float], text: str) -> None:
    with pytest.raises(UserError, match=f"^{text}$"):
        load_technology("sram").with_constants(**values)


def test_the_supply_scales_what_follows_it() -> None:
    nominal = load_technology("sram")
    low = nominal.at(0.8)
    assert nominal["supply"] == 1.0
    assert low.label == "sram at 0.8 V"
    alpha, threshold = nominal["alpha"], nominal["threshold"]
    factors = {
        "energy": 0.8**2,
        "power": 0.8,
        "time": 0.8 / ((0.8 - threshold) / (1 - threshold)) ** alpha,
        "none": 1.0,
    }
    for name, role in CONSTANTS.items():
        assert low[name] == nominal[name] * factors[role.scaling], name
    assert low["cycle_time"] > nominal["cycle_time"]
    assert low.assumptions[-1] == (
        "Values for 0.8 V are scaled from 1 V: energies by V^2, leakage by V, time by V / (V - 0.35)^1.3."
    )
    assert any(text.startswith("alpha = 1.3 (") for text in low.assumptions)


def test_what_a_supply_of_its_own_drives_does_not_follow() -> None:
    nominal = load_technology("reram")
    low = nominal.at(0.8)
    fixed = {name for name, constant in nominal.constants.items() if constant.fixed}
    assert fixed == {"write_cell", "load_cell", "cycle_time"}
    assert all(low[name] == nominal[name] for name in fixed)
    assert low["compare_mismatch"] < nominal["compare_mismatch"]
    assert low.assumptions[-1].endswith("; write_cell, load_cell, cycle_time are kept.")


def test_the_nominal_supply_changes_nothing() -> None:
    assert load_technology("sram").at(1.0) == load_technology("sram")


@pytest.mark.parametrize("supply", [0.3, 1.2])
def test_a_supply_out_of_range_is_refused(supply: float) -> None:
    with pytest.raises(UserError, match=rf"^supply of technology sram must be from 0\.6 to 1\.1 V, not {supply:g}$"):
        load_technology("sram").at(supply)


def test_a_scaled_technology_is_not_scaled_again() -> None:
    with pytest.raises(ValueError, match=r"^sram at 0\.8 V is scaled already$"):
        load_technology("sram").at(0.8).at(0.9)
