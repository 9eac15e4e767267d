"""Finds functions in the memory of another process by name, like the dynamic linker but from outside.

Everything needed is mapped (ELF header, program headers, dynamic symbols and their hash table), so no files are read:
a stripped interpreter, one in a container and one whose file has been replaced since all work the same way.

A program can map anything under any name, so every table is read up to a bound that no real file reaches.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.attach.inject.ptrace import Memory

X86_64 = 62
_DYNAMIC, _LOAD = 2, 1
_HASH, _STRTAB, _SYMTAB, _GNU_HASH = 4, 5, 6, 0x6FFFFEF5
_LINE = re.compile(r"^([0-9a-f]+)-[0-9a-f]+ (\S{4}) ([0-9a-f]+) \S+ \d+ +(/.*|\[vdso\])$")

_MOST_SEGMENTS = 128
_LARGEST_DYNAMIC = 1 << 16  # bytes
_LONGEST_CHAIN = 512  # symbols in one hash chain
_MOST_OBJECTS = 16  # files of one kind
LONGEST_MAPS = 32 << 20
"""Characters of /proc/PID/maps that are read: the kernel's default of 65,530 mappings takes some 10 million."""

PYTHON = re.compile(r"/(?:libpython3\.\d+[a-z]*\.so|python\d*(?:\.\d+)?[a-z]*$|pypy)")
LIBC = re.compile(r"/(?:libc[.-][^/]*so|libpthread[.-][^/]*so|ld-musl-[^/]*\.so|libc\.musl-[^/]*\.so)")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A file that a process has mapped from its beginning."""

    base: int
    path: str


@dataclass(slots=True)
class Object:
    """A loaded ELF file and its tables."""

    memory: Memory
    base: int
    machine: int = 0
    word: int = 0  # 1: 32-bit, 2: 64-bit
    bias: int = 0
    table: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError if it is not an ELF file."""
        header = self.memory.read(self.base, 64)
        if header[:4] != b"\x7fELF":
            raise ValueError("no ELF file")
        self.word = header[4]
        self.machine = struct.unpack_from("<H", header, 18)[0]
        if self.word != 2:
            return
        offset, size, number = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
        if size < 56 or number > _MOST_SEGMENTS:
            raise ValueError("no ELF file that could be loaded")
        dynamic = first = None
        for index in range(number):
            kind, _, where, address, _, _, length, _ = struct.unpack(
                "<IIQQQQQQ", self.memory.read(self.base + offset + index * size, 56)
            )
            if kind == _LOAD and first is None:
                first = address - where
            elif kind == _DYNAMIC:
                dynamic = (address, length)
        self.bias = self.base - (first or 0)
        if dynamic is not None:
            self._read_dynamic(self.bias + dynamic[0], dynamic[1])

    def _read_dynamic(self, address: int, length: int) -> None:
        entries = self.memory.read(address, min(length, _LARGEST_DYNAMIC) // 16 * 16)
        for tag, value in struct.iter_unpack("<QQ", entries):
            if tag == 0:
                break
            # glibc writes the loaded address into its tables, musl leaves the file's.
            if tag in (_HASH, _STRTAB, _SYMTAB, _GNU_HASH):
                self.table[tag] = value if value >= self.base else value + self.bias

    def find(self, name: str) -> int | None:
        """The address of a symbol defined here; None if there is none."""
        if not {_SYMTAB, _STRTAB} <= self.table.keys():
            return None
        if _GNU_HASH in self.table:
            return self._find_gnu(name.encode())
        if _HASH in self.table:
            return self._find_hash(name.encode())
        return None

    def _words(self, address: int, number: int) -> tuple[int, ...]:
        return struct.unpack(f"<{number}I", self.memory.read(address, 4 * number))

    def _find_gnu(self, name: bytes) -> int | None:
        at = self.table[_GNU_HASH]
        buckets, first, blooms, _ = self._words(at, 4)
        bucket_at = at + 16 + 8 * blooms
        wanted = 5381
        for byte in name:
            wanted = (wanted * 33 + byte) & 0xFFFFFFFF
        index = self._words(bucket_at + 4 * (wanted % buckets), 1)[0] if buckets else 0
        for _ in range(_LONGEST_CHAIN):
            if not index >= first > 0:
                break
            value = self._words(bucket_at + 4 * (buckets + index - first), 1)[0]
            if value | 1 == wanted | 1:
                found = self._symbol(index, name)
                if found is not None:
                    return found
            if value & 1:
                break
            index += 1
        return None

    def _find_hash(self, name: bytes) -> int | None:
        at = self.table[_HASH]
        buckets, _ = self._words(at, 2)
        value = 0
        for byte in name:
            value = (value << 4) + byte
            high = value & 0xF0000000
            value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
        index = self._words(at + 8 + 4 * (value % buckets), 1)[0] if buckets else 0
        for _ in range(_LONGEST_CHAIN):  # a forged chain may loop
            if not index:
                break
            found = self._symbol(index, name)
            if found is not None:
                return found
            index = self._words(at + 8 + 4 * (buckets + index), 1)[0]
        return None

    def _symbol(self, index: int, name: bytes) -> int | None:
        at = self.table[_SYMTAB] + 24 * index
        text, info, _, section, value, _ = struct.unpack("<IBBHQQ", self.memory.read(at, 24))
        if section == 0 or value == 0 or info & 0xF > 2:  # undefined, or neither function nor object
            return None
        if self.memory.read(self.table[_STRTAB] + text, len(name) + 1) != name + b"\0":
            return None
        address = self.bias + int(value)
        return address if 0 < address < 1 << 63 else None


def bounded(lines: Iterable[str]) -> Iterator[str]:
    """The first LONGEST_MAPS characters of /proc/PID/maps, as lines."""
    left = LONGEST_MAPS
    for line in lines:
        left -= len(line)
        if left < 0:
            return
        yield line


def mappings(pid: int) -> list[Mapping]:
    """The files that a process has mapped. Raises OSError if not permitted."""
    found: dict[str, Mapping] = {}
    with Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in bounded(lines):
            match = _LINE.match(line.rstrip("\n"))
            if match is not None and int(match[3], 16) == 0 and match[4] not in found:
                found[match[4]] = Mapping(int(match[1], 16), match[4].partition(" (deleted)")[0])
    return list(found.values())


def loaded(memory: Memory, mapped: list[Mapping], which: re.Pattern[str]) -> list[Object]:
    """The loaded files whose path matches."""
    objects = []
    for mapping in islice((one for one in mapped if which.search(one.path)), _MOST_OBJECTS):
        try:
            objects.append(Object(memory, mapping.base))
        except (OSError, ValueError):
            continue
    return objects


def find(objects: list[Object], *names: str) -> dict[str, int]:
    """Addresses of the symbols that are found; the first file that defines one wins."""
    found: dict[str, int] = {}
    for name in names:
        for candidate in objects:
            try:
                address = candidate.find(name)
            except OSError:  # its tables point to unmapped memory
                continue
            if address is not None:
                found[name] = address
                break
    return found
