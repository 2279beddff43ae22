"""The page with the slider: its data say what the trace says, and a real browser shows it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.config import CONFIGS
from sim import cli
from sim.waves import page
from sim.waves.page import html_text, page_data
from sim.waves.passes import Trace, Write
from sim.waves.rows import touched_columns
from tests import browser as browsers
from tests.addition_trace import addition
from tests.traces import example

ADD = addition()
NEEDS_BROWSER = pytest.mark.skipif(bool(browsers.MISSING), reason=f"not installed: {browsers.MISSING}")
TRACES = pytest.mark.parametrize(
    "trace", [ADD, addition(CONFIGS["small"], 8, 1), example()], ids=["add", "add8", "and"]
)
VOID = {"meta", "input", "br"}


class Reader(html.parser.HTMLParser):
    """Checks that elements are closed in their order, and collects what there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.identifiers: list[str] = []
        self.references: list[tuple[str, str]] = []
        self.contents: dict[str, list[str]] = {}
        self.policy = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not {name for name in given if name.startswith("on") or name in ("style", "src", "href", "srcset")}
        self.identifiers += [given["id"] or ""] if "id" in given else []
        names = [name for name in given if name in ("for", "aria-labelledby", "aria-describedby")]
        self.references += [(name, given[name] or "") for name in names]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.contents.setdefault(self.open[-1], []).append(data)


def told(text: str) -> dict[str, Any]:
    """The data in a page."""
    found = re.findall(r'<script type="application/json" id="trace">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def rows_of(data: dict[str, Any], number: int) -> list[int]:
    digits = data["sets"][number]
    assert len(digits) == -(-data["rows"] // 4)
    return [row for row in range(data["rows"]) if int(digits[row // 4], 16) >> row % 4 & 1]


def states(data: dict[str, Any]) -> Iterator[NDArray[np.uint8]]:
    """The cells before the first pass and after each, as the page computes them: (columns, rows)."""
    cells = np.zeros((len(data["columns"]), data["rows"]), np.uint8)
    for place, number in enumerate(data["first"]):
        cells[place, rows_of(data, number)] = 1
    yield cells.copy()
    for one in data["passes"]:
        for place, number in one.get("flips", one["changed"]):
            cells[place, rows_of(data, number)] ^= 1
        yield cells.copy()


@TRACES
def test_data_are_those_of_the_trace(trace: Trace) -> None:
    data = told(html_text(trace))
    assert data == json.loads(json.dumps(page_data(trace)))
    indices = [column["index"] for column in data["columns"]]
    assert [column["name"] for column in data["columns"]] == [column.name for column in trace.columns]
    assert len(data["sets"]) == len({*data["sets"]})
    for cells, wanted in zip(states(data), [trace.first_cells, *(one.cells for one in trace.passes)], strict=True):
        assert np.array_equal(cells, wanted[indices])
    for found, one in zip(data["passes"], trace.passes, strict=True):
        assert (found["cycle"], found["kind"]) == (one.cycle, one.kind)
        assert data["instructions"][found["instruction"]] == one.instruction
        assert {indices[place]: bit for place, bit in found["key"]} == one.key
        assert {Write(indices[place], bit) for place, bit in found["write"]} == {*one.writes}
        assert rows_of(data, found["tag"]) == [row for row, bit in enumerate(one.tag) if bit]
        assert rows_of(data, found["matched"]) == [*one.matched]
        changed = {(indices[place], row) for place, number in found["changed"] for row in rows_of(data, number)}
        assert changed == {*one.changed}
        assert "flips" not in found


def test_what_changes_between_passes_is_not_marked() -> None:
    first, *others = example().passes
    moved = first.cells.copy()
    moved[1] ^= 1
    passes = (
        dataclasses.replace(first, cells=moved),
        *(dataclasses.replace(one, cells=one.cells ^ moved ^ first.cells) for one in others),
    )
    data = page_data(dataclasses.replace(example(), passes=passes))
    assert [rows_of(data, number) for _, number in data["passes"][0]["flips"]] == [[0, 1, 2, 3]]
    assert data["passes"][0]["changed"] == []
    assert np.array_equal([*states(data)][-1], passes[-1].cells[:3])


def test_partners_and_instructions() -> None:
    first, *others = example().passes
    first = dataclasses.replace(first, partner_key={2: 1}, distance=1, address=7, instruction="COPY")
    data = page_data(dataclasses.replace(example(), passes=(first, *others)))
    assert data["passes"][0]["partner"] == [[2, 1]]
    assert data["instructions"] == ["COPY", "AND a=0:1 b=1 d=2"]
    assert data["runs"] == [[0, 0, 1], [1, 1, 3]]
    assert [one["run"] for one in data["passes"]] == [0, 1, 1]
    assert page_data(dataclasses.replace(example(), passes=()))["runs"] == []


def test_page_is_self_contained() -> None:
    text = html_text(ADD)
    reader = Reader(text)
    assert len(reader.identifiers) == len({*reader.identifiers})
    assert {one for _, value in reader.references for one in value.split()} <= {*reader.identifiers}
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|url\(|@import|@font-face|\beval\b|innerHTML", text)
    assert len(text.encode()) < 40_000


def test_policy_allows_what_is_in_the_page_alone() -> None:
    text = html_text(ADD)
    reader = Reader(text)
    for tag, content in (("style", reader.contents["style"]), ("script", reader.contents["script"][1:])):
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in reader.policy
    assert reader.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in reader.policy


def test_texts_are_escaped() -> None:
    text = "</script><script>alert(1)</script>&$title<!--"
    trace = dataclasses.replace(
        ADD, title=text, columns=tuple(dataclasses.replace(one, name=text) for one in ADD.columns),
        passes=tuple(dataclasses.replace(one, instruction=text) for one in ADD.passes),
    )  # fmt: skip
    made = html_text(trace)
    assert "alert(1)</script>" not in made
    assert "<!--" not in made
    reader = Reader(made)
    assert reader.contents["h1"] == [text]
    assert told(made)["instructions"] == [text]
    assert told(made)["columns"][0]["name"] == text


def test_page_is_the_same_each_time() -> None:
    assert html_text(ADD) == html_text(addition())


READ = """
const bits = (name, kind) =>
  [...document.querySelectorAll("#" + name + " td")].map((cell) => [cell.textContent, cell.classList.contains(kind)]);
const line = (row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent).join("");
const marked = (row) => [...row.querySelectorAll("td")].map((cell) => Number(cell.classList.contains("changed")));
return {
  rows: [...document.querySelectorAll("#cells tr")].map((row) =>
    [Number(row.dataset.row), line(row), row.classList.contains("matched"), marked(row)]),
  key: bits("key", "compare"),
  partner: document.getElementById("partner") ? bits("partner", "partner") : [],
  write: bits("write", "write"),
  sentence: document.getElementById("sentence").textContent,
  instruction: document.getElementById("instruction").textContent,
  place: document.getElementById("place").textContent,
  current: [...document.querySelectorAll("#passes [aria-current]")].map((one) => one.firstChild.textContent),
};
"""


def check_shown(driver: Any, trace: Trace, at: int, rows: list[int] | None = None) -> None:
    """Compare what the browser shows with the trace after *at* passes."""
    shown = driver.execute_script(READ)
    one = trace.passes[at - 1] if at else None
    cells = one.cells if one else trace.first_cells
    columns = [column.index for column in trace.columns]
    if rows is not None:
        assert [row[0] for row in shown["rows"]] == rows
    for row, text, matched, marked in shown["rows"]:
        assert text == "".join(str(cells[column, row]) for column in columns) + (str(one.tag[row]) if one else "")
        assert matched == (one is not None and row in one.matched)
        assert marked == [int(one is not None and (column, row) in one.changed) for column in [*columns, -1]]
    key = one.key if one else {}
    writes: dict[int, Any] = {write.column: write.value for write in one.writes} if one else {}
    if one and one.kind == "plane":
        writes = dict.fromkeys((column for column, _ in one.changed), "*")
    for name, wanted in (("key", key), ("write", writes)):
        assert shown[name] == [[str(wanted.get(column, "")), column in wanted] for column in [*columns, -1]]
    partners = one.partner_key if one else {}
    partner = [[str(partners.get(column, "")), column in partners] for column in [*columns, -1]]
    assert shown["partner"] == (partner if any(one.partner_key for one in trace.passes) else [])
    if one:
        number, last = trace.first_number + at - 1, trace.first_number + len(trace.passes) - 1
        assert shown["place"] == f"pass {number} of {last}, cycle {one.cycle}"
        assert shown["instruction"] == one.instruction
        assert shown["sentence"].startswith(f"{one.kind}: ")
        assert shown["current"] == [str(number)]
    else:
        assert shown["sentence"] == "Before the first pass."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers.browser() as driver:
        yield driver


@NEEDS_BROWSER
def test_every_pass_of_an_addition_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    file = tmp_path / "add.html"
    file.write_text(html_text(ADD), encoding="utf-8")
    browsers.open_page(chromium, file)
    check_shown(chromium, ADD, 0)
    chromium.find_element(By.ID, "all").click()
    slider = chromium.find_element(By.ID, "slider")
    for at in range(len(ADD.passes)):
        check_shown(chromium, ADD, at, [*range(32)])
        slider.send_keys(Keys.ARROW_RIGHT)
    check_shown(chromium, ADD, len(ADD.passes), [*range(32)])
    # Back again: what a pass changed is undone.
    for at in (32, 31, 30):
        slider.send_keys(Keys.ARROW_LEFT)
        check_shown(chromium, ADD, at)
    slider.send_keys(Keys.HOME)
    check_shown(chromium, ADD, 0)
    assert browsers.messages(chromium) == []


@NEEDS_BROWSER
def test_passes_keep_their_numbers_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / "some.html"
    some = dataclasses.replace(ADD, first_cells=ADD.passes[7].cells, passes=ADD.passes[8:12], first_number=9)
    file.write_text(html_text(some), encoding="utf-8")
    for number in (0, 9, 12, 99):
        browsers.open_page(chromium, file, f"#pass={number}")
        place = chromium.find_element("id", "place").text
        at = min(max(number - 8, 0), 4)
        assert place.startswith(f"pass {at + 8} of 12, cycle " if at else "start, 4 passes")


@NEEDS_BROWSER
def test_controls_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    def click(identifier: str) -> None:
        chromium.find_element(By.ID, identifier).click()

    file = tmp_path / "add.html"
    file.write_text(html_text(ADD), encoding="utf-8")
    browsers.open_page(chromium, file, "#pass=7")
    check_shown(chromium, ADD, 7)
    for identifier, at in (("next", 8), ("back", 7), ("last", 33), ("first", 0)):
        click(identifier)
        check_shown(chromium, ADD, at)
    assert not chromium.find_element(By.ID, "back").is_enabled()
    keys = ActionChains(chromium)
    keys.send_keys(Keys.TAB, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT).perform()
    check_shown(chromium, ADD, 1)
    keys.send_keys(Keys.END).perform()
    check_shown(chromium, ADD, 33)
    chromium.find_elements(By.CSS_SELECTOR, "#passes li")[11].click()
    check_shown(chromium, ADD, 12)
    strip = chromium.find_element(By.ID, "strip")
    ActionChains(chromium).move_to_element_with_offset(strip, 0, 5).click().perform()
    check_shown(chromium, ADD, 17)
    chromium.find_elements(By.CSS_SELECTOR, "#program button")[0].click()
    check_shown(chromium, ADD, 1)
    Select(chromium.find_element(By.ID, "speed")).select_by_visible_text("fast")
    chromium.find_elements(By.CSS_SELECTOR, "#passes li")[29].click()
    click("play")
    assert chromium.find_element(By.ID, "play").text == "Pause"
    WebDriverWait(chromium, 10, 0.05).until(lambda driver: driver.find_element(By.ID, "play").text == "Play")
    check_shown(chromium, ADD, 33)
    assert browsers.messages(chromium) == []


@NEEDS_BROWSER
def test_rows_of_large_tiles_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    trace = addition(CONFIGS["small"].replace(taps=40), bits=2)
    examples = [row for row, _ in page_data(trace)["examples"]]
    file = tmp_path / "large.html"
    file.write_text(html_text(trace), encoding="utf-8")
    browsers.open_page(chromium, file, "#pass=7")
    check_shown(chromium, trace, 7, examples)
    chromium.find_element(By.ID, "all").click()
    check_shown(chromium, trace, 7, [*range(512)])
    chromium.find_element(By.ID, "from").send_keys(Keys.CONTROL, "a", Keys.NULL, "600", Keys.TAB)
    check_shown(chromium, trace, 7, [*range(600, 640)])
    chromium.find_element(By.ID, "all").click()
    check_shown(chromium, trace, 7, examples)
    assert browsers.messages(chromium) == []


@pytest.mark.slow
@NEEDS_BROWSER
@pytest.mark.parametrize("operation", ["ADD", "MUL", "CMP", "DOT", "REDUCE"])
def test_operations_of_the_verilog_in_a_browser(
    operation: str, chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    drawn: list[Trace] = []

    def draw(trace: Trace) -> str:
        drawn.append(trace)
        return html_text(trace)

    monkeypatch.setattr(page, "html_text", draw)
    file = tmp_path / "operation.html"
    assert cli.main(["wave", "op", operation, "--html", str(file)]) == 0
    [trace] = drawn
    shown = dataclasses.replace(trace, columns=touched_columns(trace, trace.passes))
    browsers.open_page(chromium, file)
    chromium.find_element(By.ID, "all").click()
    slider = chromium.find_element(By.ID, "slider")
    for at in range(len(trace.passes) + 1):
        check_shown(chromium, shown, at, [*range(trace.config.rows)])
        slider.send_keys(Keys.ARROW_RIGHT)
    assert browsers.messages(chromium) == []
    assert file.stat().st_size < 1_000_000


@NEEDS_BROWSER
def test_partners_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    first, *others = example().passes
    trace = dataclasses.replace(
        example(), passes=(dataclasses.replace(first, partner_key={0: 0, 2: 1}, distance=1), *others)
    )
    file = tmp_path / "partners.html"
    file.write_text(html_text(trace), encoding="utf-8")
    for at in range(3):
        browsers.open_page(chromium, file, f"#pass={at}")
        check_shown(chromium, trace, at)
    assert browsers.messages(chromium) == []


@NEEDS_BROWSER
def test_odd_traces_in_a_browser(chromium: Any, tmp_path: Path) -> None:
    """Escaped texts, no passes, few passes; nothing of it is refused or fails."""
    odd = "</script><b>bold</b>&"
    named = tuple(dataclasses.replace(one, instruction=odd) for one in example().passes)
    for number, trace in enumerate(
        (dataclasses.replace(ADD, passes=()), dataclasses.replace(example(), title=odd, passes=named))
    ):
        file = tmp_path / f"{number}.html"
        file.write_text(html_text(trace), encoding="utf-8")
        browsers.open_page(chromium, file, f"#pass={len(trace.passes)}")
        assert chromium.title == trace.title
        check_shown(
            chromium, dataclasses.replace(trace, columns=trace.columns if trace.passes else ()), len(trace.passes)
        )
    assert browsers.messages(chromium) == []
