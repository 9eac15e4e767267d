"""Encodes the packets of a trace for ui.perfetto.dev: Perfetto's TrackEvent, by field numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.recording import protobuf as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.store.model import Site

SEQUENCE = 1
BEGIN, _END, INSTANT, _COUNTER = 1, 2, 3, 4
_CLEARED, _NEEDED = 1, 2
_REALTIME, _BOOTTIME = 1, 6
CHRONOLOGICAL, EXPLICIT = 2, 3
NANOSECONDS, COUNT, BYTES = 1, 2, 3


@dataclass(slots=True)
class _Names:
    """Interned strings: each is written once and then referred to by number."""

    place: int  # the field of InternedData
    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> tuple[int, bytes]:
        """Return the number of a name, and the entry that must precede its first use."""
        found = self.numbers.get(name)
        if found is not None:
            return found, b""
        found = self.numbers[name] = len(self.numbers) + 1
        return found, pb.data(self.place, pb.number(1, found) + pb.text(2, name))


class Events:
    """Encodes events with names and annotations, which are interned: one instance per trace."""

    def __init__(self) -> None:
        self._names = _Names(2)
        self._keys = _Names(3)

    def packet(
        self,
        kind: int,
        at: float,
        track: int,
        name: str,
        facts: dict[str, object],
        stack: tuple[Site, ...] = (),
        flows: Sequence[int] = (),
        ending: Sequence[int] = (),
    ) -> bytes:
        """Encode the begin of a slice, or an instant. An arrow leads from each number in `flows` to the event that has
        it in `ending`.
        """
        number, entries = self._names.of(name)
        annotations = []
        for key, value in facts.items():
            if value is not None and value != []:
                key_number, entry = self._keys.of(key)
                entries += entry
                annotations.append(pb.data(4, pb.number(1, key_number) + _annotation(value)))
        event = [pb.number(9, kind), pb.number(11, track), pb.number(10, number), *annotations]
        if stack:
            sites = [pb.text(1, s.function) + pb.text(2, s.file) + pb.number(3, s.line) for s in stack]
            event.append(pb.data(55, b"".join(pb.data(1, site) for site in sites)))
        event += [pb.fixed64(47, flow) for flow in flows]
        event += [pb.fixed64(48, flow) for flow in ending]
        interned = pb.data(12, entries) if entries else b""
        return _packet(_at(at) + pb.data(11, b"".join(event)) + interned + pb.number(13, _NEEDED))


def _packet(content: bytes) -> bytes:
    return pb.data(1, content + pb.number(10, SEQUENCE))


def _at(microseconds: float) -> bytes:
    whole = int(microseconds)
    return pb.number(8, max(whole * 1000 + round((microseconds - whole) * 1000), 0))


def first(at: int) -> bytes:
    """Encode the first packet: times are wall-clock microseconds."""
    clocks = b"".join(pb.data(1, pb.number(1, clock) + pb.number(2, at * 1000)) for clock in (_BOOTTIME, _REALTIME))
    return _packet(pb.data(6, clocks) + pb.number(13, _CLEARED) + pb.number(87, 1))


def end(at: float, track: int) -> bytes:
    """Encode the end of the open slice of a track."""
    return _packet(_at(at) + pb.data(11, pb.number(9, _END) + pb.number(11, track)) + pb.number(13, _NEEDED))


def value(at: float, track: int, value: float) -> bytes:
    """Encode a value of a counter."""
    event = pb.number(9, _COUNTER) + pb.number(11, track) + pb.double(44, float(value))
    return _packet(_at(at) + pb.data(11, event) + pb.number(13, _NEEDED))


def track(uuid: int, name: str, what: bytes = b"", parent: int = 0, rank: int = 0, ordering: int = 0) -> bytes:
    """Encode a track. `what`: its process or counter message, if it is more than a name."""
    content = pb.number(1, uuid) + pb.text(2, name) + what
    content += pb.number(5, parent) if parent else b""
    content += pb.number(11, ordering) if ordering else b""
    content += pb.number(12, rank) if rank else b""
    return _packet(pb.data(60, content))


def process(pid: int, program: str, name: str) -> bytes:
    """Encode the `what` of a process track."""
    return pb.data(3, pb.number(1, pid) + pb.text(2, program) + pb.text(6, name))


def counter(unit: int) -> bytes:
    """Encode the `what` of a counter track."""
    return pb.data(8, pb.number(3, unit))


def _annotation(value: object) -> bytes:
    match value:
        case int():
            return pb.number(4, value)
        case float():
            return pb.double(5, value)
        case list():
            return b"".join(pb.data(12, _annotation(entry)) for entry in value)
        case _:
            return pb.text(6, str(value))
