"""What makes a screen the same everywhere: the time zone, no animations, no colour setting of the machine."""

from __future__ import annotations

import time

import pytest
import textual._wait


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("NO_COLOR", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    # Pilot waits for an idle process in slices of 20 ms; with nothing ticking, 8 ms see the same sooner.
    monkeypatch.setattr(textual._wait, "SLEEP_GRANULARITY", 0.008)
    monkeypatch.setattr(textual._wait, "SLEEP_IDLE", 0.0004)
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()
