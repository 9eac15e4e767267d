"""Writes profiles in formats of other tools: collapsed stacks, speedscope, pprof."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from monitor.recording.protobuf import data, number, text, varint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.store.flame import Row
    from monitor.store.model import Site

MICROSECONDS = 1e6


def collapsed(rows: list[Row]) -> str:
    """Yield one line per stack with its microseconds (flamegraph.pl, inferno). The group is the outermost frame."""
    lines: dict[str, int] = {}
    for group, stack, seconds in rows:
        line = ";".join(_escaped(name) for name in (group, *(f"{site.function} ({_at(site)})" for site in stack)))
        lines[line] = lines.get(line, 0) + round(seconds * MICROSECONDS)
    return "".join(f"{line} {weight}\n" for line, weight in sorted(lines.items()) if weight)


def _at(site: Site) -> str:
    return f"{site.file}:{site.line}"


def _escaped(name: str) -> str:
    return " ".join(name.replace(";", ":").split()) or "?"


def speedscope(rows: list[Row], name: str) -> str:
    """Return a file for speedscope.app: one sampled profile, with the group as the outermost frame."""
    frames: dict[tuple[str, str, int], int] = {}
    described: list[dict[str, Any]] = []

    def number_of(function: str, file: str = "", line: int = 0) -> int:
        key = (function, file, line)
        if key not in frames:
            frames[key] = len(described)
            described.append({"name": function, **({"file": file, "line": line} if file else {})})
        return frames[key]

    samples, weights = [], []
    for group, stack, seconds in rows:
        sites = [number_of(site.function or "?", site.file, site.line) for site in stack]
        samples.append([number_of(group), *sites])
        weights.append(round(seconds, 6))
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": round(sum(weights), 6),
        "samples": samples,
        "weights": weights,
    }
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "shared": {"frames": described},
            "profiles": [profile],
            "name": name,
            "activeProfileIndex": 0,
            "exporter": "looptop",
        },
        separators=(",", ":"),
    )


def pprof(rows: list[Row], kind: str) -> bytes:
    """Return a compressed profile.proto for `go tool pprof` and compatible tools, with the group as label `group`."""
    strings: dict[str, int] = {"": 0}
    functions: dict[tuple[str, str], int] = {}
    locations: dict[tuple[str, str, int], int] = {}
    out: list[bytes] = []

    def string(value: str) -> int:
        return strings.setdefault(value, len(strings))

    def location(site: Site) -> int:
        function_key = (site.file, site.function)
        if function_key not in functions:
            functions[function_key] = known = len(functions) + 1
            name, file = string(site.function or "?"), string(site.file)
            fields = number(1, known) + number(2, name) + number(3, name) + number(4, file)
            out.append(data(5, fields))
        key = (*function_key, site.line)
        if key not in locations:
            locations[key] = known = len(locations) + 1
            line = number(1, functions[function_key]) + number(2, site.line)
            out.append(data(4, number(1, known) + data(4, line)))
        return locations[key]

    out.append(data(1, number(1, string(kind)) + number(2, string("nanoseconds"))))
    for group, stack, seconds in rows:
        label = number(1, string("group")) + number(2, string(group))
        ids = _packed(location(site) for site in reversed(stack))
        out.append(data(2, data(1, ids) + data(2, _packed([round(seconds * 1e9)])) + data(3, label)))
    out += [text(6, value) for value in strings]
    out.append(number(10, round(sum(row[2] for row in rows) * 1e9)))
    return gzip.compress(b"".join(out), mtime=0)


def _packed(values: Iterable[int]) -> bytes:
    return b"".join(varint(value) for value in values)
