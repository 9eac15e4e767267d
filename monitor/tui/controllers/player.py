"""Controls a recording: play, pause, step, speed and seek. The source does the work."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from monitor.findings.rules.engine import Findings
from monitor.findings.rules.replay import Replay
from monitor.recording.time_parsing import parse_time
from monitor.tui.dialogs.form import Field, FormScreen
from monitor.tui.widgets.timeline import Mark, Playing, offset

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.findings.thresholds import Thresholds
    from monitor.recording.player import RecordingSource
    from monitor.tui.base.dashboard import Dashboard

READING = 0.1
"""Seconds per tick spent on evaluating findings of an earlier part of the recording."""
GAP = 2.0
"""Seconds between two blocks from which on a gap is shown: dropped ticks, or a lost connection."""


class Player:
    """The controls of the recording that the dashboard shows."""

    def __init__(self, app: Dashboard, source: RecordingSource, thresholds: Thresholds) -> None:
        self._app, self._source = app, source
        self._replay = Replay(source.recording, thresholds)
        begin, blocks = source.recording.start, source.recording.summaries
        self._marks = [Mark((mark.at - begin) * 1e-6, mark.kind, mark.text) for mark in source.markers]
        self._gaps = [
            ((before.end - begin) * 1e-6, (after.start - begin) * 1e-6)
            for before, after in pairwise(blocks)
            if after.start - before.end > GAP * 1e6
        ]

    def find(self, findings: Findings) -> None:
        """Shows the findings as of the current moment; none while the part before it is still being read."""
        budget = READING if self._app.tick_rate.hz else math.inf
        found = self._replay.at(self._source.moment, budget)
        findings.show(Findings() if found is None else found)

    @property
    def state(self) -> Playing:
        """The state of the replay, for the timeline."""
        source = self._source
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
        return self._source.playing

    @property
    def path(self) -> Path:
        """The path of the recording."""
        return self._source.recording.path

    def title(self) -> str:
        """The text for the header: when the recording was made, and whether it is cut off."""
        recording = self._source.recording
        when = time.strftime("%d %b %Y %H:%M", time.localtime(self._source.start_time))
        return f"▸ recording of {when}{'' if recording.finished else ', cut'}"

    def problem(self) -> str:
        """Damaged or missing parts of the recording."""
        return self._source.status.text

    def do(self, verb: str, amount: float) -> None:
        """Runs the action of a key and repaints at once."""
        source = self._source
        match verb:
            case "toggle":
                if source.playing:
                    source.pause()
                else:
                    source.play()
            case "step":
                source.step(1 if amount > 0 else -1)
            case "speed":
                source.faster(1 if amount > 0 else -1)
            case "seek":
                source.seek(source.position + amount)
            case "marker":
                found = source.next_marker() if amount > 0 else source.previous_marker()
                if found is None:
                    self._app.say(f"no marker {'after' if amount > 0 else 'before'} this moment")
        self._follow()

    def seek_share(self, share: float) -> None:
        """Seeks to a share of the whole duration."""
        self._source.seek(share * self._source.duration)
        self._follow()

    def ask(self) -> None:
        """Asks for a time and seeks to it."""
        source = self._source
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
        self._app.push_screen(form, self._go)

    def _go(self, position: float | None) -> None:
        if position is not None:
            self._source.seek(position)
            self._follow()

    def _follow(self) -> None:
        """Sorts and repaints the visible screen after a jump in time."""
        app = self._app
        screen = app.live_screen
        if screen is not None:
            screen.forget_order()
        app.tick_soon()
