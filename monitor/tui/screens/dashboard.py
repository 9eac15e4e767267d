"""The app's interface for screens, in addition to that for controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from monitor.tui.base.dashboard import Dashboard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.findings.model import Finding
    from monitor.findings.rules.engine import Findings
    from monitor.store.store import Store
    from monitor.tui.base.theme import Palette
    from monitor.tui.controllers.child_program import ChildProgram
    from monitor.tui.controllers.player import Player
    from monitor.tui.controllers.recording import RecordingControl
    from monitor.tui.controllers.step_trace import StepTrace
    from monitor.tui.controllers.subscription import Subscription
    from monitor.tui.controllers.task_control import TaskControl
    from monitor.tui.widgets.header import Situation
    from monitor.tui.widgets.source_view import Sources
    from monitor.tui.widgets.tabs import Tab


class ScreensDashboard(Dashboard, Protocol):
    """The app with its controllers."""

    @property
    def view(self) -> Store:
        """The store to show: the live one, or the frozen copy during a pause."""

    @property
    def palette(self) -> Palette:
        """The colours to draw with."""

    @property
    def current_mode(self) -> str:
        """The mode of the main screen in use."""

    @property
    def sources(self) -> Sources:
        """The source files of the program, as found on this machine."""

    @property
    def findings(self) -> Findings:
        """All findings, dismissed ones included."""

    @property
    def child(self) -> ChildProgram | None:
        """The program that looptop started."""

    def open_why(self, task_id: int) -> None:
        """Opens the page that explains why a task was late."""

    def open_group_why(self, number: int) -> None:
        """Opens the page that explains why the tasks of a group were late."""

    def open_waits(self) -> None:
        """Opens the page of what all tasks wait for."""

    @property
    def steps(self) -> StepTrace:
        """The steps of the program, while a page needs them."""

    @property
    def player(self) -> Player | None:
        """The controls of the recording, if one is played."""

    @property
    def recording(self) -> RecordingControl:
        """The recording that is being made."""

    @property
    def subscription(self) -> Subscription:
        """The subscription of this viewer."""

    @property
    def control(self) -> TaskControl:
        """Requests that change the program."""

    @property
    def among(self) -> bool:
        """Whether it shows one worker of a service, so that one can go back to the Service screen."""

    @property
    def shows_workers(self) -> bool:
        """Whether one can leave for the Service screen on the workers of this process."""

    def open_workers(self) -> None:
        """Leave for it; the program runs on."""

    @property
    def loops_below(self) -> Callable[[int], str] | None:
        """Describes the child processes of a pid that have event loops."""

    def situation(self) -> Situation:
        """Returns what the header shows in addition to the store."""

    def banner(self) -> tuple[str, str] | None:
        """Returns the text of the banner and its style, if there is one."""

    def tabs(self) -> Sequence[Tab]:
        """Returns the tabs of the main screens."""

    def found(self) -> list[Finding]:
        """Returns the findings that are not dismissed, the worst first."""

    def dismiss(self, finding: Finding) -> None:
        """Hides a finding, or shows it again."""

    def open_task(self, task_id: int) -> None:
        """Opens the page of a task, live or ended."""

    def update_soon(self) -> None:
        """Repaints the visible screen after the current message, before the next tick."""
