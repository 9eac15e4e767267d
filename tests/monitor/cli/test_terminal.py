"""Whether there is a terminal for the dashboard: every case that was seen to go wrong."""

import io
import os
import pty
import sys

import pytest

from monitor import terminal
from monitor.terminal import Plain, Refuse, Streams, Tui, decide

ALL = Streams(True, True, True)
XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("streams", "environ", "platform", "expected"),
    [
        (ALL, XTERM, "linux", Tui()),
        (ALL, XTERM, "darwin", Tui()),
        (ALL, {}, "win32", Tui()),
        (Streams(True, True, False), {}, "win32", Tui()),
        (Streams(True, False, True), XTERM, "linux", Plain("stdout is not a terminal")),
        (Streams(False, False, False), {}, "linux", Plain("stdout is not a terminal")),
        (
            Streams(False, True, True),
            XTERM,
            "linux",
            Refuse("stdin is not a terminal, so no key could reach the dashboard"),
        ),
        (
            Streams(False, True, True),
            XTERM,
            "win32",
            Refuse("stdin is not a terminal, so no key could reach the dashboard"),
        ),
        (
            Streams(True, True, False),
            XTERM,
            "linux",
            Refuse("stderr is not a terminal, and that is where the dashboard is drawn"),
        ),
        (ALL, {}, "linux", Refuse("TERM is not set, which cannot move a cursor")),
        (ALL, {"TERM": ""}, "linux", Refuse("TERM is not set, which cannot move a cursor")),
        (ALL, {"TERM": "dumb"}, "linux", Refuse("TERM is dumb, which cannot move a cursor")),
        (ALL, {"TERM": "unknown"}, "linux", Refuse("TERM is unknown, which cannot move a cursor")),
    ],
)
def test_decision(streams, environ, platform, expected):
    assert decide(streams, environ, platform) == expected


@pytest.mark.parametrize(
    ("streams", "environ", "expected"),
    [
        (ALL, XTERM, True),
        (ALL, {**XTERM, "NO_COLOR": "1"}, False),
        (ALL, {**XTERM, "NO_COLOR": ""}, True),
        (ALL, {"TERM": "dumb"}, False),
        (Streams(True, False, True), XTERM, False),
    ],
)
def test_colour(streams, environ, expected):
    assert terminal.colour(streams, environ) is expected


def test_streams_that_are_closed_or_missing_are_no_terminals(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert terminal.here() == Streams(False, False, False)
    assert isinstance(terminal.decide_here(), Plain)
    assert terminal.width_here() == 120


def test_the_width_is_that_of_the_terminal(monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(master), os.fdopen(slave, "w") as stream:
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(os, "get_terminal_size", lambda handle: os.terminal_size((97, 30)))
        assert terminal.here().stdout
        assert terminal.width_here() == 97
        monkeypatch.setenv("COLUMNS", "60")
        assert terminal.width_here() == 60
