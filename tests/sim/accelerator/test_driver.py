"""The driver on a made-up device."""

from __future__ import annotations

import mmap

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.accelerator.protocol import AcceleratorError, GatherRegister, Unit, Waiting
from hw.accelerator.register_map import LOG_ENTRIES, REGISTERS, STREAM_IN, STREAM_OUT, constants
from hw.isa import ErrorCode
from sim.accelerator.driver import (
    AcceleratorDriver,
    AcceleratorFailed,
    DeviceTimeout,
    LinkCounts,
    MappedRegisters,
    RunStatus,
    WrongDevice,
    describe_error,
)

CONFIG = ACCELERATORS["mesh2x2"]
HOST = CONFIG.host


class FakeDevice:
    """Registers that hold what a test wants, and a list of what was written."""

    def __init__(self) -> None:
        self.values = dict(constants(CONFIG))
        self.written: list[tuple[str, int]] = []
        self.names = {entry.offset: entry.name for entry in REGISTERS}

    def read32(self, offset: int) -> int:
        name = self.names[offset]
        written = dict(self.written)
        if name == "COUNTER_LOW":
            return 100 * written["COUNTER_CLUSTER"] + written["COUNTER_SELECT"]
        if name == "LINK_FLITS":
            return written["LINK_SELECT"]
        if name == "PHASE_CYCLE_LOW":
            return 3 * written["PHASE_SELECT"]
        return self.values.get(name, 0)

    def write32(self, offset: int, value: int) -> None:
        self.written.append((self.names[offset], value))


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


def test_commands_are_bits_of_control(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    driver.start(watchdog=77)
    driver.start()
    driver.stop()
    driver.snapshot()
    assert device.written == [("WATCHDOG", 77), ("CONTROL", 1), ("CONTROL", 1), ("CONTROL", 2), ("CONTROL", 4)]


def test_a_device_that_is_none_is_refused(device: FakeDevice) -> None:
    device.values["IDENTITY"] = 0xFFFF_FFFF
    with pytest.raises(WrongDevice, match=r"^the identity of an accelerator must be 0x42464d41, not 0xffffffff$"):
        AcceleratorDriver(device, CONFIG)


def test_other_registers_are_refused(device: FakeDevice) -> None:
    device.values["VERSION"] += 1
    with pytest.raises(WrongDevice, match=r"^the version of the registers must be 1, not 2$"):
        AcceleratorDriver(device, CONFIG)


def test_another_config_is_refused_with_both_hashes(device: FakeDevice) -> None:
    other = ACCELERATORS["mesh1x1"]
    text = rf"^the config hash of the hardware must be {other.hash_text} \(config mesh1x1\), not {CONFIG.hash_text}$"
    with pytest.raises(WrongDevice, match=text):
        AcceleratorDriver(device, other)


def test_status(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    for bit, name in enumerate(("running", "done", "error", "idle")):
        device.values["STATUS"] = 1 << bit
        expected = dict.fromkeys(("running", "done", "error", "idle"), False) | {name: True}
        assert driver.status() == RunStatus(**expected)


def test_wait_ends_with_the_run(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    device.values["STATUS"] = 0b1001

    def clock() -> float:
        device.values["STATUS"] = 0b1010  # done by the time that one looks again
        return 0.0

    driver.wait(1.0, 0.0, clock)
    assert driver.poll()


def test_wait_raises_what_went_wrong(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    device.values |= {"STATUS": 0b100, "ERROR": 1 | HOST << 8, "ERROR_DETAIL": 0x5A}
    with pytest.raises(AcceleratorFailed, match=r"^OPCODE: host port: a command of opcode 0x5a$"):
        driver.wait()


def test_wait_gives_up(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    device.values |= {"STATUS": 1, "CYCLES_LOW": 5, "CYCLES_HIGH": 2, "PHASES": 3}
    times = iter((0.0, 1.0, 2.0, 3.0))
    text = rf"^a run must end within 1\.5 s, not go on after {2 * 2**32 + 5} cycles and 3 phases$"
    with pytest.raises(DeviceTimeout, match=text):
        driver.wait(1.5, 0.0, lambda: next(times))
    assert next(times) == 3.0


def test_counters_and_links_of_all_clusters(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    device.values |= {"COUNTER_HIGH": 1, "LINK_STALLS": 9}
    assert driver.counters(3) == [[(1 << 32) + 100 * cluster + index for index in range(3)] for cluster in range(4)]
    assert driver.links() == [[LinkCounts(router + 256 * port, 9) for port in range(5)] for router in range(4)]


def test_phase_log_is_in_order_after_it_wrapped(device: FakeDevice) -> None:
    driver = AcceleratorDriver(device, CONFIG)
    device.values["PHASES"] = 4
    assert driver.phase_log() == [0, 3, 6, 9]
    device.values["PHASES"] = LOG_ENTRIES + 2
    log = driver.phase_log()
    assert log == [3 * (phase % LOG_ENTRIES) for phase in range(2, LOG_ENTRIES + 2)]


@pytest.mark.parametrize(
    ("code", "cluster", "unit", "detail", "text"),
    [
        (AcceleratorError.NONE, HOST, 0, 0, "NONE: host port: no error"),
        (AcceleratorError.OPCODE, HOST, 0, 9, "OPCODE: host port: a command of opcode 0x09"),
        (
            AcceleratorError.DESTINATION, HOST, Unit.TAPS + 1, 0,
            "DESTINATION: host port: a WRITE to taps of CAP 1 of no cluster, or of one that is not there",
        ),
        (AcceleratorError.UNIT, HOST, 0x99, 0, "UNIT: host port: a WRITE to unit 0x99, which is not there"),
        (
            AcceleratorError.ADDRESS, HOST, Unit.GATHER_MEMORY, 4096,
            "ADDRESS: host port: a word for gather memory at address 4096, past its end",
        ),
        (AcceleratorError.ADDRESS, 3, Unit.SENDER, 4097, "ADDRESS: cluster 3, sender: a word for address 4097"),
        (AcceleratorError.BARRIER, HOST, 0, 0, "BARRIER: host port: a WAIT for a cluster that is not there"),
        (
            AcceleratorError.TILE, 1, Unit.TILE + 2, ErrorCode.CONFIG | 7 << 8,
            "TILE: cluster 1, MAP 0: CONFIG at instruction 7",
        ),
        (AcceleratorError.TILE, 1, Unit.TILE, 0xEE, "TILE: cluster 1, CAP 0: unknown code 238 at instruction 0"),
        (
            AcceleratorError.DESCRIPTOR, 2, Unit.GATHER, GatherRegister.STRIDE_X,
            "DESCRIPTOR: cluster 2, gather unit: register 9 out of its range",
        ),
        (
            AcceleratorError.WATCHDOG, 2, Unit.TILE + 2, Waiting.PLANES,
            "WATCHDOG: cluster 2, MAP 0: waits for planes to come in",
        ),
        (
            AcceleratorError.WATCHDOG, 0, Unit.TILE + 1, Waiting.ROOM,
            "WATCHDOG: cluster 0, CAP 1: waits for planes to be taken",
        ),
        (
            AcceleratorError.WATCHDOG, 0, Unit.TILE, Waiting.PROGRAM,
            "WATCHDOG: cluster 0, CAP 0: waits for an instruction",
        ),
        (
            AcceleratorError.WATCHDOG, 0, Unit.GATHER, Waiting.TILES,
            "WATCHDOG: cluster 0, gather unit: waits for a tile to take its beat",
        ),
        (
            AcceleratorError.WATCHDOG, 0, Unit.SENDER, Waiting.WORDS,
            "WATCHDOG: cluster 0, sender: waits for a word of its MAP",
        ),
        (
            AcceleratorError.WATCHDOG, 0, Unit.SENDER, Waiting.MESH,
            "WATCHDOG: cluster 0, sender: waits for its flit to be taken",
        ),
        (AcceleratorError.WATCHDOG, 0, Unit.TILE, 9, "WATCHDOG: cluster 0, CAP 0: gets no further"),
        (
            AcceleratorError.WATCHDOG, HOST, STREAM_IN, 0,
            "WATCHDOG: host's stream in: the next word of the command stream is missing",
        ),
        (
            AcceleratorError.WATCHDOG, HOST, STREAM_OUT, 3,
            "WATCHDOG: host's stream out: a word for the host is not taken",
        ),
        (AcceleratorError.WATCHDOG, HOST, 3, 0, "WATCHDOG: host port, unit 0x03: gets no further"),
        (200, 1, 2, 3, "unknown error 200 of cluster 1, unit 0x02, detail 0x3"),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_their_place(code: int, cluster: int, unit: int, detail: int, text: str) -> None:
    assert describe_error(code | cluster << 8 | unit << 16, detail, CONFIG) == text


@pytest.mark.parametrize("kind", ["bytearray", "mmap"])
def test_mapped_registers(kind: str) -> None:
    memory = bytearray(64) if kind == "bytearray" else mmap.mmap(-1, 4096)
    registers = MappedRegisters(memory, 16)
    registers.write32(8, 0x1234_5678)
    assert registers.read32(8) == 0x1234_5678
    assert int.from_bytes(memory[24:28], "little") == 0x1234_5678
    assert sum(memory[:64]) == 0x12 + 0x34 + 0x56 + 0x78


def test_mapped_registers_are_aligned() -> None:
    with pytest.raises(ValueError, match=r"^base of mapped registers must be a multiple of 4, not 6$"):
        MappedRegisters(bytearray(64), 6)
