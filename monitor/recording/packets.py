"""The packets of a trace for ui.perfetto.dev: TrackEvent of Perfetto's own schema, by the numbers of its fields."""

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
    """Strings that go once and then by number."""

    place: int  # the field of InternedData
    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> tuple[int, bytes]:
        """The number of a name, and the entry that has to come before its first use."""
        found = self.numbers.get(name)
        if found is not None:
            return found, b""
        found = self.numbers[name] = len(self.numbers) + 1
        return found, pb.data(self.place, pb.number(1, found) + pb.text(2, name))


class Events:
    """Events with a name and what is known of them. Names go once and then by number: one of these a trace."""

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
        """One of them: it begins a slice, or is an instant. An arrow leads from each of `flows` to the one of that
        number in `ending` of another event.
        """
        number, entries = self._names.of(name)
        said = []
        for key, value in facts.items():
            if value is not None and value != []:
                key_number, entry = self._keys.of(key)
                entries += entry
                said.append(pb.data(4, pb.number(1, key_number) + _annotation(value)))
        event = [pb.number(9, kind), pb.number(11, track), pb.number(10, number), *said]
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
    """What a trace begins with: that times are those of the day (µs)."""
    clocks = b"".join(pb.data(1, pb.number(1, clock) + pb.number(2, at * 1000)) for clock in (_BOOTTIME, _REALTIME))
    return _packet(pb.data(6, clocks) + pb.number(13, _CLEARED) + pb.number(87, 1))


def end(at: float, track: int) -> bytes:
    """The end of the slice that is open on a track."""
    return _packet(_at(at) + pb.data(11, pb.number(9, _END) + pb.number(11, track)) + pb.number(13, _NEEDED))


def value(at: float, track: int, value: float) -> bytes:
    """The value of a counter."""
    event = pb.number(9, _COUNTER) + pb.number(11, track) + pb.double(44, float(value))
    return _packet(_at(at) + pb.data(11, event) + pb.number(13, _NEEDED))


def track(uuid: int, name: str, what: bytes = b"", parent: int = 0, rank: int = 0, ordering: int = 0) -> bytes:
    """A track; `what` it is, if it is more than a name."""
    content = pb.number(1, uuid) + pb.text(2, name) + what
    content += pb.number(5, parent) if parent else b""
    content += pb.number(11, ordering) if ordering else b""
    content += pb.number(12, rank) if rank else b""
    return _packet(pb.data(60, content))


def process(pid: int, program: str, name: str) -> bytes:
    """What the track of a process is."""
    return pb.data(3, pb.number(1, pid) + pb.text(2, program) + pb.text(6, name))


def counter(unit: int) -> bytes:
    """What a track of a counter is."""
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
