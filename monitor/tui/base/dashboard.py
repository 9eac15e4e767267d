"""The app's interface for controllers, so that they do not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.screen import Screen

    from monitor.protocol.frames import Reply
    from monitor.sources.base import Source
    from monitor.store.store import Store
    from monitor.tui.base.tick_rate import TickRate

Result = TypeVar("Result")


class VisibleScreen(Protocol):
    """A screen of the dashboard, as the controllers see it."""

    def wants(self) -> dict[str, Any]:
        """Returns the data that the source must send for this screen, as arguments of `Source.watch`."""

    def forget_order(self) -> None:
        """Makes the screen sort its rows again at its next look."""


class Dashboard(Protocol):
    """The app that watches one program or plays one recording."""

    @property
    def source(self) -> Source:
        """Where the frames come from."""

    @property
    def store(self) -> Store:
        """The live store, also during a pause."""

    @property
    def tick_rate(self) -> TickRate:
        """The rate of the ticks."""

    @property
    def paused(self) -> bool:
        """Whether the screens show a frozen copy of the store."""

    @property
    def replaying(self) -> bool:
        """Whether the source is a recording: nothing can be requested of it."""

    @property
    def recording_path(self) -> Path | None:
        """The recording that is played; None for a program that runs."""

    @property
    def live_screen(self) -> VisibleScreen | None:
        """The topmost screen that is not a dialog."""

    @property
    def clock(self) -> Callable[[], float]:
        """A monotonic clock in seconds; tests set it by hand."""

    @property
    def wall(self) -> Callable[[], float]:
        """The Unix time in seconds; tests set it by hand."""

    def request(self, op: str, answer: Callable[[Reply], None], **arguments: object) -> bool:
        """Sends a request to the probe; `answer` gets the last piece of the reply. False without a connection."""

    def say(self, text: str, *, bad: bool = False) -> None:
        """Shows a short message that disappears by itself."""

    def update_now(self) -> None:
        """Repaints the visible screen from the store."""

    def tick_soon(self) -> None:
        """Runs the next tick as soon as the current message has been handled."""

    def push_screen(self, screen: Screen[Result], callback: Callable[[Result | None], None] | None = None) -> object:
        """Opens a screen; `callback` gets its result when it closes."""
