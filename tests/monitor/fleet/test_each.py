"""How long the answers of a set are waited for, by a clock of the test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from monitor.fleet import each as module


class Clock:
    """Stands in for `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def asked(result: object = None) -> Any:
    """A request that was answered if there is a result."""
    return SimpleNamespace(result=result, member=object(), thread=SimpleNamespace(is_alive=lambda: result is None))


def waited(clock: Clock, wait: Any) -> float:
    began = clock.now
    while wait.goes_on():
        clock.now += 0.05
    return clock.now - began


def test_patience_begins_with_the_first_answer(clock: Clock) -> None:
    first, other = asked(), asked()
    wait = module._Wait([first, other], 0.0, lambda _: False)
    clock.now = 20.0  # a crowded machine
    assert wait.goes_on()
    first.result = "tasks"
    assert waited(clock, wait) == pytest.approx(module.PATIENCE, abs=0.1)


def test_patience_begins_when_the_last_one_has_been_entered(clock: Clock) -> None:
    entering = True
    wait = module._Wait([asked("tasks"), asked()], 0.5, lambda _: entering)
    assert wait.goes_on()
    clock.now = 20.0
    assert wait.goes_on()
    entering = False
    assert waited(clock, wait) == pytest.approx(module.PATIENCE + 0.5, abs=0.1)


def test_the_first_answer_is_waited_for_longer(clock: Clock) -> None:
    wait = module._Wait([asked(), asked()], 2.0, lambda _: False)
    assert waited(clock, wait) == pytest.approx(module.LONGEST + 2.0, abs=0.1)
    assert not module._Wait([asked("tasks")], 0.0, lambda _: False).goes_on()
