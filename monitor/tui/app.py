"""The dashboard: it drains the source, lets the store apply what came, and has the screen look. Composition only.

One tick does everything; screens know nothing of sockets and read only the store. See docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand

from monitor import format as fmt
from monitor.frames import Frame, Hello, Reply
from monitor.sources.base import Source
from monitor.store.store import Store
from monitor.tui import theme
from monitor.tui.captured import Captured
from monitor.tui.keys import KEYS, bindings
from monitor.tui.paint import safe
from monitor.tui.program import Program, status_words
from monitor.tui.pulse import Pulse
from monitor.tui.screens.base import LiveScreen
from monitor.tui.screens.confirm import ConfirmScreen
from monitor.tui.screens.end import EndScreen
from monitor.tui.screens.ended import EndedScreen
from monitor.tui.screens.help import HelpScreen
from monitor.tui.screens.output import OutputScreen
from monitor.tui.screens.slow import SlowScreen
from monitor.tui.screens.task import TaskScreen
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.widgets.header import Situation
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.screen import Screen

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
ORIGIN_FRAMES = 10
NOTICE_SECONDS = 20.0
DEEPEST_STACK = 24
MOST_APPLY_SECONDS = 0.05


class Looptop(App[int]):
    """Watches one program. `hz` of 0 leaves the ticks to the caller, which is how tests drive it."""

    TITLE = "looptop"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[Any]] = bindings("app")
    MODES: ClassVar[dict[str, Any]] = {
        "tasks": TasksScreen,
        "slow": SlowScreen,
        "ended": EndedScreen,
        "output": OutputScreen,
    }
    DEFAULT_MODE = "tasks"

    def __init__(
        self,
        source: Source,
        *,
        store: Store | None = None,
        hz: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        program: Program | None = None,
        no_color: bool = False,
    ) -> None:
        super().__init__(ansi_color=True if no_color else None)
        self.animation_level = "none"
        self.source = source
        self.store = store if store is not None else Store()
        self.view = self.store  # the frozen copy while paused
        self.clock, self.wall = clock, wall
        self.program = program
        self.output = Captured()
        self.sources = Sources()
        self.slow = 0.1
        self.origins_kept = 0
        self.pulse = Pulse(hz)
        self.plain = no_color
        self.register_theme(theme.THEME)
        self.theme = theme.PLAIN_THEME if no_color else theme.THEME.name
        self.palette = self._make_palette()
        self._paused_at: float | None = None
        self._watched: dict[str, Any] = {}
        self._asked: dict[int, Callable[[Reply], None]] = {}
        self._ticking = False
        self._notice: tuple[str, str, float] | None = None  # text, style, when
        self._program_ended: float | None = None
        self._leaving = False

    # The tick

    def on_mount(self) -> None:
        """Begins: signals, source, pulse."""
        self.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and self.pulse.hz:
                loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.source.start()
        if self.pulse.hz:
            self._timer = self.set_interval(self.pulse.period, self.tick)

    async def tick(self) -> None:
        """Takes in what came, has the screen look, tells the source what is in sight."""
        if self._ticking:
            return
        self._ticking = True
        try:
            if self.pulse.beat(self.clock()):
                self._timer.stop()
                self._timer = self.set_interval(self.pulse.period, self.tick)
            began = self.clock()
            for frame in self.source.frames():
                self._take(frame)
                if self.clock() - began > MOST_APPLY_SECONDS:
                    await asyncio.sleep(0)  # a big first picture must not hold up the keys
                    began = self.clock()
            self._look_at_program()
            self.look_now()
        finally:
            self._ticking = False

    def look_now(self) -> None:
        """The screen in sight looks at the store."""
        screen = self.live_screen
        if screen is not None and self.is_running:
            screen.look()
            self._tell_source(screen)

    def look_soon(self) -> None:
        """Before the next tick, after what is being done."""
        if self.pulse.hz:
            self.call_later(self.look_now)

    @property
    def live_screen(self) -> LiveScreen | None:
        """The screen that is in sight, below any question."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, LiveScreen)), None)

    def _take(self, frame: Frame) -> None:
        session = self.store.session
        if isinstance(frame, Hello):
            if session is not None and session.id != frame.session:
                before = f"{session.name or session.program} (pid {session.pid})"
                text = (
                    f"this is another session: {frame.name or frame.program} (pid {frame.pid}); before it was {before}"
                )
                self.go_on()
                self._notice = (text, "warn", self.wall())
            elif session is not None:
                self._notice = ("connected again to the same session", "good", self.wall())
            self._watched = {}
        self.store.apply(frame)
        if isinstance(frame, Hello) and "slow" in frame.settings and not session:
            self.slow = float(frame.settings["slow"]) * 1e-6
        if isinstance(frame, Reply) and not frame.more:
            answer = self._asked.pop(frame.id, None)
            if answer is not None:
                answer(frame)

    def _tell_source(self, screen: LiveScreen) -> None:
        wants = {**screen.wants(), "slow": round(self.slow * 1e6), "origins": self.origins_kept}
        if self.pulse.hz:
            wants["rate"] = self.pulse.rate
        if wants != self._watched:
            changed = {key: value for key, value in wants.items() if self._watched.get(key, _NOTHING) != value}
            self._watched = wants
            self.source.watch(**changed)

    def _look_at_program(self) -> None:
        program = self.program
        if program is None:
            return
        lines = program.output()
        if lines:
            self.output.add(lines)
        if not program.running and self._program_ended is None:
            self._program_ended = self.wall()
        if self._leaving and not program.running:
            self.exit()

    # What the screens ask

    @property
    def paused(self) -> bool:
        """Whether tables and pages are frozen."""
        return self._paused_at is not None

    def situation(self) -> Situation:
        """What the header shows beside the store."""
        paused = None if self._paused_at is None else self.wall() - self._paused_at
        return Situation(self.source.status, paused, self.slow, self.origins_kept)

    def status_text(self) -> str:
        """What the source has to say."""
        return safe(self.source.status.text) or f"{self.source.status.state} …"

    def tabs(self) -> list[tuple[str, str, str | None]]:
        """The main screens and how much is on them."""
        store = self.store
        ended = store.ended_total + len(store.unhandled)
        return [
            ("tasks", "Tasks", fmt.count(len(store.tasks))),
            ("slow", "Slow", fmt.count(sum(line.count for line in store.slow.lines.values()))),
            ("ended", "Ended", fmt.count(ended)),
            ("output", "Output", fmt.count(self.output.total) if self.program is not None else None),
        ]

    def banner(self) -> tuple[str, str] | None:
        """The one line that matters most now, with its style; None while all is well."""
        now, status = self.wall(), self.source.status
        since = fmt.age(max(now - status.since, 0.0))
        if self._program_ended is not None and self.program is not None:
            words, ago = status_words(self.program.exit_status), fmt.age(max(now - self._program_ended, 0.0))
            return (f"the program {words} {ago} ago; its last state stays; q leaves", "warn")
        if status.state == "lost":
            return (f"✗ lost {since} ago: {safe(status.text)}", "bad")
        if status.state == "ended":
            return (f"■ ended {since} ago: {safe(status.text)}; the last state stays; q leaves", "bad")
        if self._leaving:
            return ("stopping the program …; q again stops it harder", "warn")
        if self._notice is not None and now - self._notice[2] < NOTICE_SECONDS:
            return self._notice[:2]
        if self.pulse.slowed:
            return (f"ticks run late: {self.pulse.rate:g} updates a second for now", "warn")
        notices = self.store.notices
        if notices and 0 <= self.store.now - notices[-1].at < NOTICE_SECONDS:
            return (f"notice: {safe(notices[-1].text)}", "warn")
        if self.store.probe.off:
            return (f"hook off: {safe('; '.join(self.store.probe.off))}", "bad")
        if status.state == "connecting":
            return (self.status_text(), "warn")
        return None

    def say(self, text: str, *, bad: bool = False) -> None:
        """Answers something that the person did."""
        self.notify(safe(text), severity="error" if bad else "information", markup=False, timeout=4)

    def open_task(self, task_id: int) -> None:
        """Shows a task, live or ended, wherever it was mentioned."""
        if len(self.screen_stack) > DEEPEST_STACK:
            self.say("too many pages are open; Esc goes back")
        elif task_id in self.view.tasks:
            self.push_screen(TaskScreen(task_id))
        else:
            ended = next((entry for entry in reversed(self.view.ended) if entry.id == task_id), None)
            if ended is None:
                self.say(f"task {task_id} has ended and is not among the last {len(self.view.ended)} that are kept")
            else:
                self.push_screen(EndScreen(ended))

    def cancel_task(self, task_id: int) -> None:
        """Asks the person, then the probe."""
        session, task = self.store.session, self.store.tasks.get(task_id)
        if task is None:
            self.say(f"task {task_id} has ended already")
        elif session is None or "cancel" not in session.capabilities:
            self.say("this probe does not allow control: it only lets itself be watched", bad=True)
        else:
            name = f"task {task_id} {task.name[:200]}"
            question = ConfirmScreen(
                f"Cancel {name}?",
                "It gets a CancelledError where it waits. What it does then is its own affair.",
                "cancel it",
                "leave it alone",
            )
            self.push_screen(question, lambda yes: self._ask_to_cancel(task_id, name) if yes else None)

    def _ask_to_cancel(self, task_id: int, name: str) -> None:
        number = self.source.request("cancel", task=task_id)
        if not number:
            self.say("nobody is there to ask: the connection is down", bad=True)
            return

        def answer(reply: Reply) -> None:
            self.say(f"cancelled {name}" if reply.ok else f"not cancelled: {reply.error}", bad=not reply.ok)

        self._asked[number] = answer

    def change_threshold(self, step: int) -> None:
        """The next threshold of slow callbacks up or down, for this viewer."""
        able = [value for value in THRESHOLDS if (value > self.slow + 1e-9 if step > 0 else value < self.slow - 1e-9)]
        if able:
            self.slow = able[0] if step > 0 else able[-1]

    # What the person does

    async def action_show(self, mode: str) -> None:
        """A main screen; a page that is open there closes."""
        if mode != self.current_mode:
            await self.switch_mode(mode)
        while len(self.screen_stack) > 1 and isinstance(self.screen, LiveScreen):
            await self.pop_screen()
        self.call_after_refresh(self.look_now)

    def action_pause(self) -> None:
        """Freezes tables and pages, or goes on."""
        if self.paused:
            self.go_on()
        else:
            self.view, self._paused_at = self.store.frozen(), self.wall()
        self.look_now()

    def go_on(self) -> None:
        """Looks at the live store again."""
        self.view, self._paused_at = self.store, None

    def action_help(self) -> None:
        """Keys, columns, signs."""
        screen = self.live_screen
        self.push_screen(HelpScreen(screen.SCOPES if screen is not None else ("app",), self.palette))

    def action_origins(self) -> None:
        """Creation stacks of tasks born from now on: on or off."""
        session = self.store.session
        if session is None or "origins" not in session.capabilities:
            self.say("this probe keeps no creation stacks", bad=True)
            return
        self.origins_kept = 0 if self.origins_kept else ORIGIN_FRAMES
        self.say(
            f"creation stacks of {ORIGIN_FRAMES} frames are kept from now on"
            if self.origins_kept
            else "creation stacks are off again"
        )
        self.look_now()

    def action_picture(self) -> None:
        """This screen as an SVG file in the current folder."""
        self.say(f"saved {self.save_screenshot()}")

    def action_leave(self) -> None:
        """Leaves; with a program of ours running, asks first."""
        if self._leaving and self.program is not None:
            self.program.stop()
        elif self.program is not None and self.program.running:
            question = ConfirmScreen(
                "The program is still running. Stop it and quit?",
                "It gets a SIGINT, as from Ctrl+C; q again is harder.",
                "stop the program and quit",
                "stay",
            )
            self.push_screen(question, lambda yes: self._stop_and_leave() if yes else None)
        else:
            self.exit()

    def _stop_and_leave(self) -> None:
        self._leaving = True
        if self.program is not None:
            self.program.stop()
        self.look_now()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - Textual's
        """The command palette: what the key table has for everywhere, and for the screen in sight."""
        live = self.live_screen
        scopes = live.SCOPES if live is not None else ("app",)
        for key in KEYS:
            if key.scope not in scopes or key.id == "palette" or (key.scope in ("table", "page") and not key.footer):
                continue
            yield SystemCommand(f"{key.label}  ({key.shown})", key.help, partial(self._press, key.id))
        yield SystemCommand("Theme", "choose other colours", self.action_change_theme)

    async def _press(self, key_id: str) -> None:
        if self.live_screen is not None:
            await self.live_screen.action_press(key_id)

    # Colours

    def _make_palette(self) -> theme.Palette:
        return theme.plain() if self.plain or self.current_theme.ansi else theme.coloured(self.get_css_variables())

    def _theme_changed(self) -> None:
        self.palette = self._make_palette()
        self.look_now()


_NOTHING = object()
