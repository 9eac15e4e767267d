"""Stacks of flame graphs under what they are put under."""

from monitor.protocol import frames
from monitor.protocol.rows import OnLoopRow
from monitor.store.flame import FlameSamples, Stacks, Whose
from monitor.store.model import Site
from monitor.store.tables import Tables

STACK = (Site("app.py", 3, "work"),)


def test_small_tasks_of_a_coroutine_stand_together():
    rows = [(Whose("handle", task=number), STACK, 0.001) for number in range(1, 501)]
    rows += [
        (Whose("serve", task=501), STACK, 0.5),
        (Whose("tick", task=502), STACK, 0.002),
        (Whose("old"), STACK, 0.1),
    ]
    stacks = Stacks.of(rows)
    titles = {}
    for title, _, seconds in stacks.by("task", {501: "server", 502: "Task-502"}.get):
        titles[title] = round(titles.get(title, 0.0) + seconds, 3)
    # The only small one of its coroutine has its own name, which takes no more room.
    assert titles == {"other tasks of handle": 0.5, "#501 server": 0.5, "#502 tick()": 0.002, "old": 0.1}
    assert len({whose.task for whose, _, _ in stacks}) == 503
    assert {title for title, _, _ in stacks.by("group")} == {"handle", "serve", "tick", "old"}


def test_a_coroutine_that_is_not_known_is_no_name():
    whose = [Whose("?", "GET /mid", task=7), Whose("?"), Whose("(callbacks)")]
    assert [one.title("group", {}.get) for one in whose] == ["GET /mid", "(unknown)", "(callbacks)"]
    assert [one.title("task", {}.get) for one in whose] == ["#7 GET /mid", "(unknown)", "(callbacks)"]


def test_samples_are_those_of_stacks_and_idle_is_apart():
    told = frames.Flame(samples=100, idle=970_000, on_loop=[OnLoopRow(0, 0, [], 20_000, 2)], jobs=[])
    samples = FlameSamples()
    samples.apply(told, 1.0, Tables())
    samples.apply(told, 2.0, Tables())
    assert samples.samples == {"on_loop": 4, "jobs": 0}
    assert (samples.on_loop.seconds, samples.idle) == (0.04, 1.94)
    assert (samples.frozen().samples, samples.frozen().samples is samples.samples) == ({"on_loop": 4, "jobs": 0}, False)
