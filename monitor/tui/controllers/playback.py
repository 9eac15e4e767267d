"""Keys that control a replay, of one recording or of a recorded set: play, pause, step, speed and seek."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from monitor.recording.time_parsing import parse_time
from monitor.tui.dialogs.form import Field, FormScreen
from monitor.tui.widgets.timeline import Mark, Playing, offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.screen import Screen

    from monitor.recording.player import Playable


class Pushing(Protocol):
    """The app: where dialogs open."""

    def push_screen(self, screen: Screen[float], callback: Callable[[float | None], None] | None = None) -> object:
        """Opens a screen; `callback` gets its result when it closes."""


class Playback:
    """The controls of a replay. A subclass says what follows a jump in time, and where messages go."""

    def __init__(self, source: Playable, app: Pushing, gaps: Iterable[tuple[float, float]] = ()) -> None:
        """`gaps`: spans in seconds since the start of which there is no recording."""
        self._playable = source
        self._pushing = app
        begin = source.start_time
        self._marks = [Mark(mark.at * 1e-6 - begin, mark.kind, mark.text) for mark in source.markers]
        self._gaps = list(gaps)

    @property
    def state(self) -> Playing:
        """The state of the replay, for the timeline."""
        source = self._playable
        return Playing(
            start=source.start_time,
            duration=source.duration,
            position=source.position,
            playing=source.playing,
            speed=source.speed,
            marks=self._marks,
            gaps=self._gaps,
        )

    @property
    def playing(self) -> bool:
        """Whether the replay is running."""
        return self._playable.playing

    def do(self, verb: str, amount: float) -> None:
        """Runs the action of a key and repaints at once."""
        source = self._playable
        match verb:
            case "toggle":
                if source.playing:
                    source.pause()
                else:
                    source.play()
            case "step":
                source.step_by(1 if amount > 0 else -1)
            case "speed":
                source.faster(1 if amount > 0 else -1)
            case "seek":
                source.seek(source.position + amount)
            case "marker":
                found = source.next_marker() if amount > 0 else source.previous_marker()
                if found is None:
                    self.say(f"no marker {'after' if amount > 0 else 'before'} this moment")
            case "ask":
                self._ask()
                return
        self.follow()

    def seek_share(self, share: float) -> None:
        """Seeks to a share of the whole duration."""
        self._playable.seek(share * self._playable.duration)
        self.follow()

    def say(self, text: str) -> None:
        """Shows a short message."""
        raise NotImplementedError

    def follow(self) -> None:
        """Sorts and repaints the visible screen after a jump in time."""
        raise NotImplementedError

    def _ask(self) -> None:
        """Asks for a time and seeks to it."""
        source = self._playable
        begin, end = (
            time.strftime("%H:%M:%S", time.localtime(source.start_time + after)) for after in (0.0, source.duration)
        )
        form = FormScreen(
            "Go to time",
            (Field("time", "", "such as 14:03:22, 90s or 2m"),),
            lambda texts: parse_time(texts[0], source.start_time, source.duration),
            "go to time",
            lambda _: f"The recording goes from {begin} to {end}: {offset(source.duration)} in all.",
        )
        self._pushing.push_screen(form, self._go)

    def _go(self, position: float | None) -> None:
        if position is not None:
            self._playable.seek(position)
            self.follow()
