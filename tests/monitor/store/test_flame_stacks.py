"""Stacks of flame graphs under what they are put under."""

from monitor.store.flame import Stacks, Whose
from monitor.store.model import Site

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
    for title, _, seconds in stacks.by("task", {501: "server", 502: "ticker"}.get):
        titles[title] = round(titles.get(title, 0.0) + seconds, 3)
    # The only small one of its coroutine has its own name, which takes no more room.
    assert titles == {"other tasks of handle": 0.5, "server (serve)": 0.5, "ticker (tick)": 0.002, "old": 0.1}
    assert len({whose.task for whose, _, _ in stacks}) == 503
    assert {title for title, _, _ in stacks.by("group")} == {"handle", "serve", "tick", "old"}
