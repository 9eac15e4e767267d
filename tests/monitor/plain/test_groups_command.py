"""`looptop groups` shows all groups of a program, although a probe sends at most 200 at once."""

from __future__ import annotations

from typing import Any

import msgspec
from fake_probe import NOW, hello, static, tick

from monitor.plain.groups import watched
from monitor.protocol import frames


class Connection:
    """Sends so many groups, 200 in each tick."""

    where = "a fake"

    def __init__(self, number: int) -> None:
        self.hello = decoded(hello(capabilities=["groups"]))
        rows = [
            [number, 1, 0, 1, 0, 1, 0, 0, 0, [9, 9, 0, 0], [], [], [], [], [], None] for number in range(1, number + 1)
        ]
        self._pieces = [rows[begin : begin + 200] for begin in range(0, number, 200)]
        self._frames = [decoded(static())]
        self._at = NOW

    def send(self, frame: dict[str, Any]) -> None:
        assert frame["groups"]

    def receive(self, timeout: float) -> list[frames.Frame]:
        self._at += 1_000_000
        rows = self._pieces.pop(0) if self._pieces else []
        self._frames.append(decoded(tick(self._at, groups={"since": NOW, "rows": rows})))
        came, self._frames = self._frames, []
        return came

    def close(self) -> None:
        pass


def decoded(frame: dict[str, Any]) -> frames.Frame:
    return frames.decode(msgspec.json.encode(frame))


def test_all_groups_are_awaited() -> None:
    store = watched(Connection(730), 0.0)  # type: ignore[arg-type]
    assert len(store.label_groups) == 730
