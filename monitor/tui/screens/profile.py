"""The Profile screen: functions decorated with `profile_time` or `profile_memory`, and their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line, line
from monitor.tui.pages.profile import ORDERS, profile_page
from monitor.tui.rows.base import Rows
from monitor.tui.rows.memory import ProfileRows
from monitor.tui.screens.page import PageScreen
from monitor.tui.screens.table import TableScreen

if TYPE_CHECKING:
    from collections.abc import Hashable

    from monitor.protocol.frames import Reply
    from monitor.tui.base.dashboard import Dashboard
    from monitor.tui.widgets.live_table import LiveTable

EVERY = 2.0
"""Seconds between two requests."""

PATIENCE = 30.0
CALLS = 1000


class ProfilePoller:
    """Requests the profiles while a screen shows them, one request at a time."""

    def __init__(self, app: Dashboard, calls: int) -> None:
        self._app, self._calls = app, calls
        self._asked_at = float("-inf")
        self._waits = False
        self.answered = False
        self.problem = ""

    @property
    def able(self) -> bool:
        """Whether the probe supports profiles."""
        session = self._app.store.session
        return session is not None and "profile" in session.capabilities

    def poll(self) -> None:
        """Sends a request if one is due."""
        app = self._app
        since = app.clock() - self._asked_at
        if (app.paused and self.answered) or not self.able or since < EVERY or (self._waits and since < PATIENCE):
            return
        self._waits = app.request("profile", self._take, calls=self._calls)
        self._asked_at = app.clock()

    def _take(self, reply: Reply) -> None:
        self._waits, self.answered = False, True
        self.problem = "" if reply.ok else reply.error


class ProfileScreen(TableScreen):
    """The profiled functions, the busiest first."""

    MODE = "profile"

    def first_rows(self) -> Rows[Any]:
        """Start with the busiest function on top."""
        self.functions = ProfileRows(self.looptop.store)
        self.poller = ProfilePoller(self.looptop, 0)
        return self.functions

    def update_body(self) -> None:
        """Requests the profiles and shows them."""
        self.poller.poll()
        super().update_body()

    def apply_filter(self, text: str) -> None:
        """Show the functions that contain all words of `text`."""
        self.functions.words = tuple(text.lower().split())

    def empty_text(self) -> str:
        """Explains how to profile a function."""
        if self.functions.words:
            return "No function with these words.\nEsc clears the filter."
        if self.looptop.player is not None:
            return "No profile was recorded up to this moment."
        if self.looptop.store.session is not None and not self.poller.able:
            if self.store.read_only:
                return "Not available: this program is read from outside."
            return "This probe does not support profiles."
        if not self.poller.answered:
            return "Asking …"
        if self.poller.problem:
            return f"The probe refused: {self.poller.problem}"
        return (
            "No function of this program is profiled.\n"
            "import probes, and put @probes.profile_time or @probes.profile_memory above a\n"
            "function: each call is recorded with its elapsed time, its busy time\n"
            "and the memory it allocated."
        )

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the calls of the function."""
        if message.key is not None:
            self.app.push_screen(FunctionScreen(message.key))


class FunctionScreen(PageScreen):
    """One profiled function: its calls, times and memory."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "profile")
    BINDINGS: ClassVar[list[Any]] = bindings("profile")

    def __init__(self, key: Hashable) -> None:
        super().__init__()
        self._key = key
        self._order = next(iter(ORDERS))
        self.poller = ProfilePoller(self.looptop, CALLS)

    def lines(self, cells: int) -> list[Line]:
        """Build the page: calls, percentiles and the source of the function."""
        self.poller.poll()
        rows = ProfileRows(self.store)
        profile = next((row for row in self.store.memory.profiles if rows.key_of(row) == self._key), None)
        if profile is None or self.of_another_session:
            return [line(("This function is not or no longer profiled; Esc goes back.", "warn"))]
        return profile_page(self.store, profile, self.looptop.sources, cells, self._order)

    def action_order(self) -> None:
        """Sorts the calls differently."""
        names = list(ORDERS)
        self._order = names[(names.index(self._order) + 1) % len(names)]
        self.update_view()
