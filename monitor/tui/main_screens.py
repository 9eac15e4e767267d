"""The main screens, one entry each: a screen that is added here has its tab; its key stands in the table of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import format as fmt
from monitor.tui.screens.ended import EndedScreen
from monitor.tui.screens.findings import FindingsScreen
from monitor.tui.screens.memory import MemoryScreen
from monitor.tui.screens.output import OutputScreen
from monitor.tui.screens.profile import ProfileScreen
from monitor.tui.screens.slow import SlowScreen
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.store import Store
    from monitor.tui.guest import Guest
    from monitor.tui.screens.base import LiveScreen


@dataclass(frozen=True, slots=True)
class Counted:
    """What the tabs count from."""

    store: Store
    guest: Guest | None
    findings: int


def _nothing(_: Counted) -> None:
    """A screen whose tab counts nothing."""


@dataclass(frozen=True, slots=True)
class MainScreen:
    """One main screen; its number is its place."""

    screen: type[LiveScreen]
    title: str
    short: str
    count: Callable[[Counted], str | None] = _nothing

    @property
    def mode(self) -> str:
        """What it is called in `app.show`."""
        return self.screen.MODE


MAIN = (
    MainScreen(TasksScreen, "Tasks", "Tasks", lambda of: fmt.count(len(of.store.tasks))),
    MainScreen(
        SlowScreen, "Slow", "Slow", lambda of: fmt.count(sum(line.count for line in of.store.slow.lines.values()))
    ),
    MainScreen(EndedScreen, "Ended", "End", lambda of: fmt.count(of.store.ended_total + len(of.store.unhandled))),
    MainScreen(
        OutputScreen, "Output", "Out", lambda of: None if of.guest is None else fmt.count(of.guest.output.total)
    ),
    MainScreen(MemoryScreen, "Memory", "Mem"),
    MainScreen(ProfileScreen, "Profile", "Prof"),
    MainScreen(FindingsScreen, "Findings", "Find", lambda of: fmt.count(of.findings)),
)


def tabs(counted: Counted) -> list[Tab]:
    """The tabs of the main screens as they are now."""
    return [Tab(main.mode, main.title, main.short, main.count(counted)) for main in MAIN]
