"""When the processes of a set are connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waiting import wait_until

from monitor.errors import ConnectError
from monitor.fleet import fleet as module
from monitor.fleet.fleet import Fleet
from monitor.fleet.members import Members

if TYPE_CHECKING:
    import pytest

    from monitor.transport.connection import Connection


def test_a_process_that_comes_later_is_connected_to_in_the_step_that_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.0)
    tried: list[str] = []
    there = ["unix:/none/a"]

    def connect(target: str) -> Connection:
        tried.append(target)
        raise ConnectError("nobody is there", "")

    fleet = Fleet(Members(["@api"], lambda _: list(there)), connect, {})
    try:
        fleet.step()
        assert not tried, "the screen is loaded first"
        fleet.step()
        wait_until(lambda: "unix:/none/a" in tried, "the first one")
        there.append("unix:/none/b")
        fleet.step()
        wait_until(lambda: "unix:/none/b" in tried, "the one that came later")
    finally:
        fleet.close()
