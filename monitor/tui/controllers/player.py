"""Controls a recording: play, pause, step, speed and seek. The source does the work."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from monitor.findings.rules.engine import Findings
from monitor.findings.rules.replay import Replay
from monitor.tui.controllers.playback import Playback

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.findings.thresholds import Thresholds
    from monitor.recording.player import RecordingSource
    from monitor.tui.base.dashboard import Dashboard

READING = 0.1
"""Seconds per tick spent on evaluating findings of an earlier part of the recording."""
GAP = 2.0
"""Seconds between two blocks from which on a gap is shown: dropped ticks, or a lost connection."""


class Player(Playback):
    """The controls of the recording that the dashboard shows."""

    def __init__(self, app: Dashboard, source: RecordingSource, thresholds: Thresholds) -> None:
        begin, blocks = source.recording.start, source.recording.summaries
        gaps = [
            ((before.end - begin) * 1e-6, (after.start - begin) * 1e-6)
            for before, after in pairwise(blocks)
            if after.start - before.end > GAP * 1e6
        ]
        super().__init__(source, app, gaps)
        self._app, self._source = app, source
        self._replay = Replay(source.recording, thresholds)

    def find(self, findings: Findings) -> None:
        """Shows the findings as of the current moment; none while the part before it is still being read."""
        budget = READING if self._app.tick_rate.hz else math.inf
        found = self._replay.at(self._source.moment, budget)
        findings.show(Findings() if found is None else found)

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

    def say(self, text: str) -> None:
        """Shows a short message that disappears by itself."""
        self._app.say(text)

    def follow(self) -> None:
        """Sorts and repaints the visible screen after a jump in time."""
        screen = self._app.live_screen
        if screen is not None:
            screen.forget_order()
        self._app.tick_soon()
