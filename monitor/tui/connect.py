"""The app of the connect screen: refreshes its lists every few seconds, opens a choice and exits with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand

from monitor.errors import LooptopError
from monitor.tui.base.choices import Choice, ChoiceProvider, Opened, OpenedSet
from monitor.tui.base.keys import commands
from monitor.tui.base.paint import safe
from monitor.tui.base_app import BaseApp
from monitor.tui.screens.connect import ConnectScreen
from monitor.tui.screens.help import HelpScreen
from monitor.tui.terminal.job_control import repaint, shell_waits, to_the_shell

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from textual.screen import Screen

EVERY = 2.0
"""Seconds between two refreshes of the lists."""

RESTS = 20
"""Minimum pause between refreshes, as a multiple of their duration: with hundreds of programs it refreshes less
often."""


class Connect(BaseApp[Opened | OpenedSet]):
    """Exits with the opened choice, or None. With `every=0` the caller refreshes the lists."""

    def __init__(
        self,
        home: ChoiceProvider,
        *,
        section: str = "programs",
        key: Hashable = None,
        where: str = "",
        every: float = EVERY,
        no_color: bool = False,
    ) -> None:
        super().__init__(no_color=no_color)
        self.home = home
        self.where = where
        self.message: tuple[str, str] | None = None
        self.every = every
        self.lists = ConnectScreen(section, key)
        self._looking = False
        self._opening = 0  # grows with every attempt, so that results of cancelled ones are dropped
        self._busy = False

    def get_default_screen(self) -> Screen[Any]:
        """Returns the only screen."""
        return self.lists

    def on_mount(self) -> None:
        """Starts refreshing the lists."""
        self.app_resume_signal.subscribe(self, lambda _: repaint(self))
        if self.every:
            self.end_with_others()
            self.run_worker(self.list_all(), exclusive=False)

    async def list_all(self) -> None:
        """Loads all lists, the visible one first. Samples are loaded only once."""
        await self._ask(self.lists.chosen)
        await self.list_again()
        await self._ask("samples")

    async def list_again(self) -> None:
        """Refreshes the lists of programs and recordings."""
        if self._looking:
            return
        self._looking = True
        began = time.monotonic()
        try:
            await self._ask("programs")
            await self._ask("recordings")
        finally:
            self._looking = False
        if self.every:
            took = time.monotonic() - began
            self.set_timer(max(self.every, RESTS * took), self.list_again)

    async def _ask(self, section: str) -> None:
        ask = getattr(self.home, section)
        try:
            found = list(await asyncio.to_thread(ask))
        except LooptopError as error:
            self.say(f"{section}: {error}", "bad")
            return
        self.lists.take(section, found)

    def update_now(self) -> None:
        """Repaint the screen with the current lists."""
        self.lists.update_view()

    # Messages

    def say(self, text: str, style: str) -> None:
        """Shows a message above the list."""
        self.message = (safe(text), style)
        self.lists.update_view()

    def forget_message(self) -> None:
        """Removes the message above the list, unless an opening is in progress."""
        if not self._busy:
            self.message = None

    # Opening

    def choose(self, section: str, choice: Choice) -> None:
        """Opens a choice in a thread, or shows why it cannot be opened."""
        if self._busy:
            return
        if choice.why_not:
            self.say(f"✗ {choice.why_not}", "bad")
            return
        self._busy = True
        self._opening += 1
        name = choice.cells.get("file") or choice.cells.get("name") or choice.cells.get("program", "")
        pid = choice.cells.get("pid")
        self.say(f"opening {name}{f' (pid {pid})' if pid else ''} …  Esc cancels", "accent")
        self.run_worker(self._open(self._opening, section, choice), exclusive=False)

    async def _open(self, number: int, section: str, choice: Choice) -> None:
        try:
            opened = await asyncio.to_thread(self.home.open, section, choice.key)
        except LooptopError as error:
            if number == self._opening:
                self._busy = False
                self.say(f"✗ {error}", "bad")
            return
        if number != self._opening or not self.is_running:
            await asyncio.to_thread(_discard, opened)
            return
        self._busy = False
        self.exit(opened)

    def stop_opening(self) -> bool:
        """Cancels the opening in progress; False if there is none."""
        if not self._busy:
            return False
        self._busy = False
        self._opening += 1
        self.say("cancelled", "warn")
        return True

    # Actions

    def action_connect_help(self) -> None:
        """Shows the keys of the connect screen."""
        self.push_screen(HelpScreen(("connect", "table"), self.palette, only=True))

    def action_suspend(self) -> None:
        """Suspends to the shell."""
        if shell_waits():
            to_the_shell()
        else:
            self.say("no shell with job control to return from; q quits", "warn")

    def action_leave(self) -> None:
        """Quits looptop, cancelling any opening."""
        self._opening += 1
        self.exit(None)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - Textual's
        """Fills the command palette from the key table."""
        for key in commands("connect"):
            yield SystemCommand(f"{key.label}  ({key.shown})", key.help, partial(self.lists.action_press, key.id))
        yield SystemCommand("Theme", "choose another colour theme", self.action_change_theme)


def _discard(opened: Opened | OpenedSet) -> None:
    """Closes a choice that was opened after the user had cancelled."""
    if isinstance(opened, OpenedSet):
        return
    with contextlib.suppress(LooptopError):
        opened.source.close()
        opened.close()
