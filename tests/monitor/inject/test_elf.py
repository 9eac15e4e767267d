"""The reader of what a program has mapped: any program can map any bytes, and root looks at them."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inject_targets import ROOT, Running

from monitor.attach import programs
from monitor.attach.inject import code, elf, target
from monitor.attach.inject.ptrace import Memory
from monitor.errors import ConnectError

BASE = 0x7F0000000000
MOST_READS = 3 * elf._LONGEST_CHAIN + 200
_HASH_AT, _TEXT_AT, _SYMBOLS_AT, _DYNAMIC_AT = 0x200, 0x300, 0x400, 0x100


class Image:
    """Bytes in the place of the memory of a process."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        assert self.reads <= MOST_READS, "this looks like a loop without end"
        assert size <= 1 << 16
        at = address - BASE
        if not 0 <= at <= len(self.data) - size:
            raise OSError(5, "not mapped")
        return self.data[at : at + size]


def image(table: dict[int, int], hashes: bytes, symbols: bytes = b"", segments: int = 2, size: int = 56) -> bytes:
    """A small ELF file as it lies in memory."""
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, size, segments, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 4096, 4096, 4096)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, _DYNAMIC_AT, _DYNAMIC_AT, 0, 256, 256, 8)
    entries = b"".join(struct.pack("<QQ", tag, value) for tag, value in table.items()) + bytes(16)
    data = bytearray(4096)
    for at, piece in (
        (0, header + load + dynamic),
        (_DYNAMIC_AT, entries),
        (_HASH_AT, hashes),
        (_TEXT_AT, b"\0other\0"),
        (_SYMBOLS_AT, symbols or struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x10, 8) * 8),
    ):
        data[at : at + len(piece)] = piece
    return bytes(data)


TABLES = {5: _TEXT_AT, 6: _SYMBOLS_AT}
ENDLESS = {
    "a chain of DT_HASH that leads to itself": image({**TABLES, 4: _HASH_AT}, struct.pack("<5I", 1, 2, 1, 0, 1)),
    "a chain of DT_GNU_HASH without an end": image(
        {**TABLES, 0x6FFFFEF5: _HASH_AT}, struct.pack("<4I", 1, 1, 0, 0) + struct.pack("<I", 1) + bytes(200)
    ),
    "65,535 segments": image({**TABLES, 4: _HASH_AT}, b"", segments=65535, size=0),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_every_search_ends(what: str) -> None:
    memory = cast("Memory", Image(ENDLESS[what]))
    objects = elf.loaded(memory, [elf.Mapping(BASE, "/x/libpython3.12.so")], elf.PYTHON)
    assert elf.find(objects, "PyRun_SimpleString") == {}


WORD = st.one_of(st.integers(0, 16), st.integers(0, 4096), st.integers(0, 2**32 - 1))
LONG = st.one_of(st.integers(0, 4096), st.integers(BASE, BASE + 4096), st.integers(0, 2**64 - 1))


def searched(data: bytes) -> None:
    memory = cast("Memory", Image(data))
    for found in elf.find(elf.loaded(memory, [elf.Mapping(BASE, "/x/python3")], elf.PYTHON), "other").values():
        assert 0 < found < 1 << 63


FUZZED = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


@FUZZED
@given(
    st.dictionaries(st.sampled_from([4, 5, 6, 0x6FFFFEF5, 7]), LONG, max_size=5),
    st.lists(WORD, max_size=40),
    st.lists(st.tuples(WORD, st.integers(0, 255), st.integers(0, 65535), LONG), max_size=8),
)
def test_any_tables(table: dict[int, int], words: list[int], symbols: list[tuple[int, int, int, int]]) -> None:
    rows = b"".join(struct.pack("<IBBHQQ", text, info, 0, section, value, 8) for text, info, section, value in symbols)
    searched(image({**TABLES, **table}, struct.pack(f"<{len(words)}I", *words), rows))


@FUZZED
@given(st.lists(st.tuples(st.integers(0, 1400), st.binary(min_size=1, max_size=8)), max_size=12))
def test_any_damage(damage: list[tuple[int, bytes]]) -> None:
    """A whole file with a symbol that is found, and some bytes of it changed."""
    hashes = struct.pack("<6I", 1, 3, 1, 0, 2, 0)
    data = bytearray(image({**TABLES, 4: _HASH_AT}, hashes))
    assert elf.Object(cast("Memory", Image(bytes(data))), BASE).find("other") == BASE + 0x10
    for at, piece in damage:
        data[at : at + len(piece)] = piece
    searched(bytes(data))


@FUZZED
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    searched(data)
    searched(b"\x7fELF\x02" + data)


def test_no_address_is_too_high() -> None:
    memory = Memory(os.getpid())
    try:
        for address in (-1, 1 << 63, 1 << 64):
            with pytest.raises(OSError, match="nothing is mapped"):
                memory.read(address, 8)
    finally:
        memory.close()


def test_it_still_finds_what_is_needed() -> None:
    memory, mapped = Memory(os.getpid()), elf.mappings(os.getpid())
    try:
        assert elf.find(elf.loaded(memory, mapped, elf.PYTHON), *code.PYTHON_NAMES).keys() == set(code.PYTHON_NAMES)
    finally:
        memory.close()


MAPPING = """
import mmap
kept = []
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        kept.append(mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ))
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.parametrize("what", ENDLESS)
def test_ps_of_a_program_that_maps_such_a_file(what: str, tmp_path: Path, runtime_dir: Path) -> None:
    (tmp_path / "libpython3.12.so").write_bytes(ENDLESS[what])
    text = MAPPING.replace("sys.argv[1:]", "['libpython3.12.so']")
    with Running(sys.executable, text, tmp_path) as running:
        command = [sys.executable, "-m", "monitor", "ps", "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert f'"pid": {running.pid}' in done.stdout, done.stderr


VERSION_NOWHERE = {
    name: image(
        {**TABLES, 4: _HASH_AT},
        struct.pack("<5I", 1, 2, 1, 0, 0),
        struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0x10, 8) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 1 << 46, 8),
    ).replace(b"\0other\0", b"\0" + name.encode() + b"\0")
    for name in ("PyRun_SimpleString", "Py_Version")
}


def test_symbols_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = elf.mappings
    monkeypatch.setattr(elf, "mappings", lambda pid: [one for one in genuine(pid) if str(tmp_path) in one.path])
    names = [f"libpython3.{len(name)}.so" for name in VERSION_NOWHERE]
    for name, data in zip(names, VERSION_NOWHERE.values(), strict=True):
        (tmp_path / name).write_bytes(data)
    with Running(sys.executable, MAPPING.replace("sys.argv[1:]", repr(names)), tmp_path) as running:
        with pytest.raises(ConnectError, match="is not a CPython process"):
            target.look(running.pid)
        assert programs.inspect(running.pid) is not None
