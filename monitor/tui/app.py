"""The dashboard app: drains the source into the store at every tick and lets the visible screen repaint.

One tick does everything; screens know nothing of sockets and read only the store. See docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SystemCommand

from monitor.errors import LooptopError
from monitor.findings.model import Finding
from monitor.findings.rules.engine import Findings
from monitor.findings.thresholds import Thresholds
from monitor.protocol.frames import Frame, Hello, Reply
from monitor.sources.base import Source
from monitor.store.store import Store
from monitor.tui.base.keys import bindings, commands
from monitor.tui.base.paint import safe
from monitor.tui.base.program import Program
from monitor.tui.base.tick_rate import TickRate
from monitor.tui.controllers.child_program import ChildProgram
from monitor.tui.controllers.recording import RecordingControl
from monitor.tui.controllers.step_trace import StepTrace
from monitor.tui.controllers.subscription import Subscription
from monitor.tui.controllers.task_control import TaskControl, ask_to_stop
from monitor.tui.main_screens import MAIN, TabCounts, tabs
from monitor.tui.pages_app import PagesApp
from monitor.tui.screens.base import LiveScreen
from monitor.tui.terminal.job_control import repaint, shell_waits, to_the_shell
from monitor.tui.widgets.banner import BannerFacts, Notice, banner, greeting
from monitor.tui.widgets.header import Situation
from monitor.tui.widgets.source_view import Sources
from monitor.tui.widgets.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.screen import Screen

    from monitor.tui.controllers.player import Player
    from monitor.tui.screens.dashboard import ScreensDashboard


MOST_APPLY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Pause:
    """What the screens show during a pause in addition to the frozen store. `at`: Unix time."""

    at: float
    findings: list[Finding]
    tabs: list[Tab]


class Looptop(PagesApp):
    """Watches one program. With `hz=0` the caller runs the ticks, as tests do."""

    BINDINGS: ClassVar[list[Any]] = bindings("app")
    MODES: ClassVar[dict[str, Any]] = {main.mode: main.screen for main in MAIN}
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
        thresholds: Thresholds | None = None,
        home: bool = False,
        asks: bool = True,
        keep_locals: bool = False,
        loops_below: Callable[[int], str] | None = None,
        among: bool = False,
        shows_workers: bool = False,
        no_color: bool = False,
    ) -> None:
        super().__init__(no_color=no_color)
        self.source = source
        self.store = store if store is not None else Store()
        self.view = self.store  # the frozen copy while paused
        self.clock, self.wall = clock, wall
        self.child = ChildProgram(program) if program is not None else None
        self.home = home  # whether there is a connect screen to go to
        self.asks = asks
        self.loops_below = loops_below
        self.shows_workers = shows_workers  # whether there is a Service screen to go to
        self.among = among  # whether it is one worker of a service, whose screen is there to go back to
        self.wanted = ""  # the section of it that the person left for
        self.control = TaskControl(self)
        self.recording = RecordingControl(self)
        self.sources = Sources(self._source_came, lambda: source.owner)
        self.findings = Findings(thresholds or Thresholds())
        self.player = self._player(source)
        self.subscription = Subscription(self, keep_locals)
        self.steps = StepTrace(self)
        self.tick_rate = TickRate(hz)
        self._pause: Pause | None = None
        self._ticking = False
        self.notice: Notice | None = None

    def _player(self, source: Source) -> Player | None:
        """Returns the player for a recording, else None. Its modules are loaded for recordings only."""
        if not hasattr(source, "seek"):
            return None
        from monitor.recording.player import RecordingSource
        from monitor.tui.controllers.player import Player

        return Player(self, source, self.findings.thresholds) if isinstance(source, RecordingSource) else None

    # The tick

    def on_mount(self) -> None:
        """Starts the source and the tick timer, and handles signals."""
        self.app_resume_signal.subscribe(self, lambda _: self._come_back())
        if self.tick_rate.hz:
            self.end_with_others()
        self.source.start()
        if self.tick_rate.hz:
            self._timer = self.set_interval(self.tick_rate.period, self.tick)
            self.tick_soon()  # frames that have already arrived are on the first screen

    def on_unmount(self) -> None:
        """Closes the recording in progress, so that its file is complete."""
        self.recording.close()

    async def tick(self) -> None:
        """Applies new frames to the store, repaints the visible screen and updates the subscription."""
        if self._ticking:
            return
        self._ticking = True
        try:
            if self.tick_rate.beat(self.clock()):
                self._timer.stop()
                self._timer = self.set_interval(self.tick_rate.period, self.tick)
            began = self.clock()
            for frame in self.source.frames():
                self._take(frame)
                if self.clock() - began > MOST_APPLY_SECONDS:
                    self.update_now()  # paint a large first state as it arrives
                    await asyncio.sleep(0)  # without delaying the keys
                    began = self.clock()
            if self.player is not None:
                self.player.find(self.findings)
            else:
                self.findings.evaluate(self.store)
            if self.child is not None and self.child.poll(self.wall()):
                self.exit()
            over = self.child is not None and self.child.ended_at is not None
            self.view.stale = self.store.stale = over or self.source.status.state in ("ended", "lost")
            self.update_now()
        finally:
            self._ticking = False

    def update_now(self) -> None:
        """Repaints the visible screen from the store. A screen that is still mounting repaints when it is ready."""
        screen = self.live_screen
        if screen is not None and screen.whole and self.is_running:
            screen.update_view()
            self.subscription.update(screen)

    def update_soon(self) -> None:
        """Repaints the visible screen after the current message, before the next tick."""
        if self.tick_rate.hz:
            self.call_later(self.update_now)

    def tick_soon(self) -> None:
        """Runs the next tick as soon as the current message has been handled; tests tick themselves."""
        if self.tick_rate.hz:
            self.call_later(self.tick)

    def _source_came(self) -> None:
        """Schedules a repaint after a source file was read. Called in the reading thread."""
        if self.tick_rate.hz and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the dashboard has ended in the meantime
                self._loop.call_soon_threadsafe(self.update_soon)

    @property
    def live_screen(self) -> LiveScreen | None:
        """The topmost screen that is not a dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, LiveScreen)), None)

    def _take(self, frame: Frame) -> None:
        session = self.store.session
        if isinstance(frame, Hello):
            self.notice = greeting(session, frame, self.wall()) or self.notice
            if session is not None and session.id != frame.session:
                self.go_on()
            self.control.cut_off()
        self.store.apply(frame)
        if self.paused:
            self.view.take_answer(frame, self.store)
        self.recording.take(frame)
        self.steps.take(frame)
        if isinstance(frame, Hello) or session is None:
            self.subscription.greet(self.store.session, first=session is None)
        if isinstance(frame, Reply) and not frame.more:
            self.control.take(frame)

    # Used by the screens

    def in_steps(self, task_id: int) -> str | None:
        """The title of an ended task in the steps that are being read; None if it is not among them."""
        life = None if self.steps.trace is None else self.steps.trace.timeline.lives.get(task_id & 0xFFFFFFFF)
        return None if life is None or life.ended is None else life.title

    @property
    def paused(self) -> bool:
        """Whether the screens show a frozen copy of the store."""
        return self._pause is not None

    @property
    def replaying(self) -> bool:
        """Whether the source is a recording: nothing can be requested of it."""
        return self.player is not None

    @property
    def recording_path(self) -> Path | None:
        """The recording that is played; None for a program that runs."""
        return None if self.player is None else self.player.path

    def request(self, op: str, answer: Callable[[Reply], None], **arguments: object) -> bool:
        """Sends a request to the probe; `answer` gets the last piece of the reply. False without a connection."""
        return self.control.ask(op, answer, **arguments)

    def situation(self) -> Situation:
        """Returns what the header shows in addition to the store."""
        paused = None if self._pause is None else self.wall() - self._pause.at
        recording = self.player.title() if self.player is not None else ""
        shown = self.found()
        return Situation(
            self.source.status,
            paused,
            self.subscription.slow,
            self.subscription.origins,
            recording,
            self.recording.sign(),
            findings=len(shown),
            worst=shown[0].kind.title if shown else "",
            broken=sum(finding.kind.weight == "bad" for finding in shown),
            keeps_locals=self.subscription.locals,
        )

    def banner(self) -> tuple[str, str] | None:
        """Returns the text of the banner and its style, if there is one."""
        rate = self.tick_rate.rate if self.tick_rate.slowed else None
        child = self.child
        facts = BannerFacts(
            self.wall(),
            self.source.status,
            self.notice,
            rate,
            self.subscription.slow,
            ended_at=child.ended_at if child is not None else None,
            exit_status=child.program.exit_status if child is not None else None,
            leaving=child is not None and child.leaving,
        )
        return banner(self.view, facts)

    def tabs(self) -> list[Tab]:
        """Returns the tabs of the main screens with their counts."""
        return (
            self._pause.tabs if self._pause is not None else tabs(TabCounts(self.store, self.child, len(self.found())))
        )

    def found(self) -> list[Finding]:
        """Returns the findings that are not dismissed, the worst first; during a pause, those from its start."""
        if self._pause is None:
            return self.findings.shown()
        return [finding for finding in self._pause.findings if not finding.dismissed]

    def say(self, text: str, *, bad: bool = False) -> None:
        """Shows a short message that disappears by itself."""
        self.notify(safe(text), severity="error" if bad else "information", markup=False, timeout=4)

    def dismiss(self, finding: Finding) -> None:
        """Hides a finding, or shows it again."""
        self.findings.dismiss(finding, not finding.dismissed)
        self.say("dismissed for this session; D shows dismissed findings" if finding.dismissed else "shown again")

    # Actions

    async def action_show(self, mode: str) -> None:
        """Switches to a main screen and closes any page open on it."""
        if mode != self.current_mode:
            await self.switch_mode(mode)
        while len(self.screen_stack) > 1 and isinstance(self.screen, LiveScreen):
            await self.pop_screen()
        self.call_after_refresh(self.update_now)

    def action_pause(self) -> None:
        """Freezes all figures, or resumes."""
        if self.player is not None:
            self.player.do("toggle", 0)
        elif self.paused:
            self.go_on()
        else:
            self.view, self._pause = self.store.frozen(), Pause(self.wall(), self.found(), self.tabs())
        self.update_now()

    def go_on(self) -> None:
        """Ends a pause: the screens show the live store again."""
        self.view, self._pause = self.store, None

    def action_help(self) -> None:
        """Shows keys, columns and signs."""
        from monitor.tui.screens.help import HelpScreen

        screen = self.live_screen
        self.push_screen(HelpScreen(screen.scopes if screen is not None else ("app",), self.palette))

    def action_origins(self) -> None:
        """Toggles creation stacks for new tasks."""
        self.subscription.toggle_origins()

    def action_locals(self) -> None:
        """Toggles local variables for tasks that fail from now on."""
        self.subscription.toggle_locals()

    def action_picture(self) -> None:
        """Saves the screen as an SVG file in the current folder."""
        from monitor.recording.export import write

        name = time.strftime("looptop-%Y%m%d-%H%M%S.svg", time.localtime(self.wall()))
        try:
            write(Path(name), [self.export_screenshot().encode()])
        except LooptopError as error:
            self.say(f"screenshot not saved: {error}", bad=True)
        else:
            self.say(f"saved {name}")

    def action_suspend(self) -> None:
        """Suspends to the shell, unless the program would then stall on output that nobody reads."""
        if self.child is not None and self.child.program.running:
            self.say("not available while looptop runs the program: it would stall")
        elif not shell_waits():
            self.say("no shell with job control to return from; q quits")
        else:
            to_the_shell()

    def _come_back(self) -> None:
        self.tick_rate.rest()
        repaint(self)

    def action_leave(self) -> None:
        """Quits; asks first while a program that looptop started is running, unless it is a sample."""
        child = self.child
        if child is None or not child.program.running or not self.asks:
            self.exit()
        elif child.leaving:
            child.stop()
        else:
            self.push_screen(ask_to_stop(), lambda yes: self._stop_and_leave() if yes else None)

    def _stop_and_leave(self) -> None:
        if self.child is not None:
            self.child.stop()
        self.update_now()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - Textual's
        """Fills the command palette from the key table, for the visible screen."""
        live = self.live_screen
        for key in commands(*(live.scopes if live is not None else ("app",))):
            yield SystemCommand(f"{key.label}  ({key.shown})", key.help, partial(self._press, key.id))
        if self.home and not self.among:
            yield SystemCommand("Samples", "start a small sample program", partial(self._go, "samples"))
            yield SystemCommand("Connect", "other programs, and recordings", partial(self._go, "programs"))
        yield SystemCommand("Theme", "choose another colour theme", self.action_change_theme)

    def action_worker(self, where: str) -> None:
        """Go to the screen of the service, or to the worker before or after this one."""
        if self.among:
            self._go(where)

    def open_workers(self) -> None:
        """Leave for the Service screen on the workers of this process; it runs on."""
        self.wanted = "workers"
        self.exit()

    def _go(self, section: str) -> None:
        """Quits to a section of the connect screen."""
        self.wanted = section
        self.action_leave()

    async def _press(self, key_id: str) -> None:
        if self.live_screen is not None:
            await self.live_screen.action_press(key_id)


if TYPE_CHECKING:

    def _is_complete(app: Looptop) -> ScreensDashboard:
        """Makes mypy check that the app implements the interfaces of screens and controllers."""
        return app
