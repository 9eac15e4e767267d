"""The app of the connect screen: asks every few seconds what there is, opens what is chosen, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand

from monitor.errors import LooptopError
from monitor.tui.base.choices import Choice, Home, Opened
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
"""Seconds between two looks at what runs."""

RESTS = 20
"""Times that it rests as long as a look took: on a machine with hundreds of programs it looks less often."""


class Connect(BaseApp[Opened]):
    """Ends with what the person chose, opened; with None when nothing was. `every` of 0: the caller looks."""

    def __init__(
        self,
        home: Home,
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
        self._opening = 0  # grows with every attempt: an answer to one that was given up is thrown away
        self._busy = False

    def get_default_screen(self) -> Screen[Any]:
        """The one screen."""
        return self.lists

    def on_mount(self) -> None:
        """Begins to look."""
        self.app_resume_signal.subscribe(self, lambda _: repaint(self))
        if self.every:
            self.end_with_others()
            self.run_worker(self.look_for_all(), exclusive=False)

    async def look_for_all(self) -> None:
        """What there is of every kind, first of that in sight; samples do not change."""
        await self._ask(self.lists.chosen)
        await self.look_again()
        await self._ask("samples")

    async def look_again(self) -> None:
        """What runs now, and what was recorded."""
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
            self.set_timer(max(self.every, RESTS * took), self.look_again)

    async def _ask(self, section: str) -> None:
        ask = getattr(self.home, section)
        try:
            found = list(await asyncio.to_thread(ask))
        except LooptopError as error:
            self.say(f"{section}: {error}", "bad")
            return
        self.lists.take(section, found)

    def look_now(self) -> None:
        """The one screen draws its lists again."""
        self.lists.look()

    # Messages

    def say(self, text: str, style: str) -> None:
        """Puts a line above the list."""
        self.message = (safe(text), style)
        self.lists.look()

    def forget_message(self) -> None:
        """What was said is read, unless it is of something that goes on."""
        if not self._busy:
            self.message = None

    # Opening

    def choose(self, section: str, choice: Choice) -> None:
        """Opens what was chosen in a thread of its own, or says why not."""
        if self._busy:
            return
        if choice.why_not:
            self.say(f"✗ {choice.why_not}", "bad")
            return
        self._busy = True
        self._opening += 1
        name = choice.cells.get("file") or choice.cells.get("name") or choice.cells.get("program", "")
        pid = choice.cells.get("pid")
        self.say(f"opening {name}{f' (pid {pid})' if pid else ''} …  Esc gives up", "accent")
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
        """Gives up what is being opened; False when nothing is."""
        if not self._busy:
            return False
        self._busy = False
        self._opening += 1
        self.say("given up", "warn")
        return True

    # What the person does

    def action_connect_help(self) -> None:
        """Keys."""
        self.push_screen(HelpScreen(("connect", "table"), self.palette, only=True))

    def action_suspend(self) -> None:
        """To the shell."""
        if shell_waits():
            to_the_shell()
        else:
            self.say("there is no shell that could bring looptop back; q leaves", "warn")

    def action_leave(self) -> None:
        """Leaves looptop."""
        self._opening += 1
        self.exit(None)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - Textual's
        """The command palette."""
        for key in commands("connect"):
            yield SystemCommand(f"{key.label}  ({key.shown})", key.help, partial(self.lists.action_press, key.id))
        yield SystemCommand("Theme", "choose other colours", self.action_change_theme)


def _discard(opened: Opened) -> None:
    """Closes what nobody wants any more."""
    with contextlib.suppress(LooptopError):
        opened.source.close()
        opened.close()
