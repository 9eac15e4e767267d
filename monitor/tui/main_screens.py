"""The main screens, one entry each. Adding an entry adds its tab; its key goes into the table of keys.

All but the first are loaded on first use: loading them all took a tenth of the start-up time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.widgets.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.store import Store
    from monitor.tui.controllers.child_program import ChildProgram
    from monitor.tui.screens.base import LiveScreen


@dataclass(frozen=True, slots=True)
class TabCounts:
    """The data that the counts in the tabs come from."""

    store: Store
    child: ChildProgram | None
    findings: int


def _nothing(_: TabCounts) -> None:
    """The count of a tab without a count."""


@dataclass(frozen=True, slots=True)
class MainScreen:
    """One main screen. Its position in MAIN is its number."""

    mode: str  # its name in `app.show`
    screen: Callable[[], LiveScreen]
    title: str
    short: str
    count: Callable[[TabCounts], str | None] = _nothing


def _slow() -> LiveScreen:
    from monitor.tui.screens.slow import SlowScreen

    return SlowScreen()


def _ended() -> LiveScreen:
    from monitor.tui.screens.ended import EndedScreen

    return EndedScreen()


def _output() -> LiveScreen:
    from monitor.tui.screens.output import OutputScreen

    return OutputScreen()


def _memory() -> LiveScreen:
    from monitor.tui.screens.memory import MemoryScreen

    return MemoryScreen()


def _profile() -> LiveScreen:
    from monitor.tui.screens.profile import ProfileScreen

    return ProfileScreen()


def _groups() -> LiveScreen:
    from monitor.tui.screens.groups import GroupsScreen

    return GroupsScreen()


def _findings() -> LiveScreen:
    from monitor.tui.screens.findings import FindingsScreen

    return FindingsScreen()


MAIN = (
    MainScreen("tasks", TasksScreen, "Tasks", "Tasks", lambda of: fmt.count(len(of.store.tasks))),
    MainScreen(
        "slow", _slow, "Slow", "Slow", lambda of: fmt.count(sum(line.count for line in of.store.slow.lines.values()))
    ),
    MainScreen("ended", _ended, "Ended", "End", lambda of: fmt.count(of.store.ended_total + len(of.store.unhandled))),
    MainScreen(
        "output", _output, "Output", "Out", lambda of: None if of.child is None else fmt.count(of.child.output.total)
    ),
    MainScreen("memory", _memory, "Memory", "Mem"),
    MainScreen("profile", _profile, "Profile", "Prof"),
    MainScreen("findings", _findings, "Findings", "Find", lambda of: fmt.count(of.findings)),
    MainScreen("groups", _groups, "Groups", "Grp"),
)


def tabs(counted: TabCounts) -> list[Tab]:
    """Returns the tabs of the main screens with their counts."""
    return [Tab(main.mode, main.title, main.short, main.count(counted)) for main in MAIN]
