"""The name that a program is found by."""

from __future__ import annotations

import sys

import pytest

from probes.serving import discovery


@pytest.mark.parametrize(
    ("command", "argv", "name"),
    [
        (["python", "-X", "dev", "/srv/app.py", "--port", "1"], [], "app"),
        (["python", "-m", "uvicorn", "app:app"], [], "uvicorn"),
        (["python", "/srv/.venv/bin/gunicorn", "app:app"], [], "gunicorn"),
        (["python", "-c", "from multiprocessing.spawn import …"], ["/srv/uvicorn/__main__.py", "app:app"], "uvicorn"),
        (["python", "-c", "pass"], ["-c"], "-c"),
        (["python", "-c", "from multiprocessing.spawn import spawn_main; …"], ["-c", "--fork"], "multiprocessing"),
    ],
)
def test_a_program_has_the_name_of_what_was_started(
    command: list[str], argv: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", command)
    monkeypatch.setattr(sys, "argv", argv)
    assert discovery.program()[0] == name
