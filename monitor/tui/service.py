"""The app of the Service screen: steps the set at every tick, opens a worker and exits with it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from monitor.errors import LooptopError
from monitor.tui.base.paint import safe
from monitor.tui.base_app import BaseApp
from monitor.tui.controllers.playback import Playback
from monitor.tui.screens.group_of_all import GroupOfAllScreen
from monitor.tui.screens.help import HelpScreen
from monitor.tui.screens.service import ServiceScreen
from monitor.tui.terminal.job_control import repaint, shell_waits, to_the_shell
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

    from monitor.fleet.fleet import Change
    from monitor.fleet.service import Service
    from monitor.recording.player import Playable
    from monitor.tui.base.choices import Opened

SAID_FOR = 15.0
"""Seconds for which the end of a worker is shown above the table."""


class ServiceApp(BaseApp[tuple[int, "Opened"]]):
    """Exits with the slot that was chosen and its open source, or None. With `hz=0` the caller runs the ticks."""

    def __init__(
        self,
        service: Service,
        open_worker: Callable[[int], Opened],
        *,
        slot: int | None = None,
        message: str = "",
        hz: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
        no_color: bool = False,
        recorded: Playable | None = None,
    ) -> None:
        """`recorded`: what controls the replay, if the workers are those of a recorded set."""
        super().__init__(no_color=no_color)
        self.service = service
        self.clock = clock
        self.player = None if recorded is None else SetPlayer(self, recorded)
        self.sources = Sources(owner=lambda: service.owner)
        self.message: tuple[str, str] | None = (f"✗ {message}", "bad") if message else None
        self.table = ServiceScreen(service, slot)
        self._open_worker = open_worker
        self._hz = hz
        self._opening: int | None = None
        self._painted = False
        self._said_at = clock()

    def get_default_screen(self) -> Screen[Any]:
        """Return the only screen."""
        return self.table

    def on_mount(self) -> None:
        """Start the ticks and open the Service screen."""
        self.app_resume_signal.subscribe(self, lambda _: repaint(self))
        if self._hz:
            self.end_with_others()
            self.set_interval(1 / self._hz, self.tick)
            self.call_after_refresh(self.tick)  # what has arrived already

    def tick(self) -> None:
        """Apply what arrived, and repaint. The first time only paint: the workers are connected to after that."""
        if self._hz and not self._painted:
            self._painted = True
            self.update_now()
            self.call_after_refresh(self.tick)
            return
        for change in self.service.step():
            if not change.joined:
                self.say(_ended(change), "warn")
        if self.message is not None and self.clock() - self._said_at > SAID_FOR and self._opening is None:
            self.message = None
        self.update_now()
        if self.service.behind and self._hz:
            self.call_after_refresh(self.tick)

    def tick_soon(self) -> None:
        """Run the next tick as soon as the current message has been handled; tests tick themselves."""
        if self._hz:
            self.call_later(self.tick)

    def update_now(self) -> None:
        """Repaint the top screen with the newest figures."""
        self.table.update_view()
        if isinstance(self.screen, GroupOfAllScreen):
            self.screen.update_view()

    def say(self, text: str, style: str) -> None:
        """Show a message above the table."""
        self.message, self._said_at = (safe(text), style), self.clock()

    def choose(self, slot: int) -> None:
        """Connect to a worker in a thread, then exit with it."""
        if self._opening is None:
            self._opening = slot
            self.say(f"opening worker {slot} …", "accent")
            self.run_worker(self._open(slot), exclusive=False)

    async def _open(self, slot: int) -> None:
        try:
            opened = await asyncio.to_thread(self._open_worker, slot)
        except LooptopError as error:
            self.say(f"✗ worker {slot}: {error}", "bad")
        else:
            self.exit((slot, opened))
        finally:
            self._opening = None

    def action_connect_help(self) -> None:
        """Show the keys of this dashboard."""
        self.push_screen(HelpScreen(self.table.scopes, self.palette, only=True))

    def action_suspend(self) -> None:
        """Suspend to the shell."""
        if shell_waits():
            to_the_shell()

    def action_leave(self) -> None:
        """Quit the dashboard; the workers run on."""
        self.exit(None)


class SetPlayer(Playback):
    """The controls of a recorded set."""

    def __init__(self, app: ServiceApp, source: Playable) -> None:
        super().__init__(source, app)
        self._app = app

    def say(self, text: str) -> None:
        """Show a short message above the table."""
        self._app.say(text, "warn")

    def follow(self) -> None:
        """Sort and repaint after a jump in time."""
        self._app.table.forget_order()
        self._app.tick_soon()


def _ended(change: Change) -> str:
    pid = "" if change.pid is None else f" ({change.pid})"
    box = f"; looptop postmortem {change.pid}" if change.box else ""
    return f"worker {change.worker}{pid} has gone: {change.reason or 'how it ended is not known'}{box}"
