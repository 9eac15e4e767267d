"""Groups: both backends count the same, no end is missed, and percentiles are within the error that is promised."""

from __future__ import annotations

import ast
import inspect
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_counting import source
from watched import ROOT, Program

from monitor.store.label_groups import Distribution, middle
from probes.hooks import groups
from probes.hooks.backend import native


def python_counts() -> type[groups.GroupCounts]:
    """The class in Python, also where that in C has taken its place."""
    if native is None:
        return groups.GroupCounts
    tree = ast.parse(inspect.getsource(groups))
    tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "GroupCounts"]
    space = dict(vars(groups))
    exec(compile(tree, groups.__file__, "exec"), space)
    found: type[groups.GroupCounts] = space["GroupCounts"]
    return found


def test_the_two_backends_count_alike() -> None:
    chance = random.Random(7)
    both = [python_counts()(1, None, "work", "GET /"), groups.GroupCounts(1, None, "work", "GET /")]
    for number in range(5000):
        age = 10 ** chance.uniform(-7, 6)
        ran = age * chance.random()
        queued = (age - ran) * chance.random()
        if number % 10 == 0:
            ran = math.nan
        if number % 50 == 0:
            age = math.nan
        for counts in both:
            counts.add(number, 3 + number % 3, float(number), age, ran, queued)
    seen = [
        (
            [counts.histogram(which) for which in range(4)],
            sorted(counts.slowest()),
            (counts.ended, counts.failed, counts.cancelled),
            [round(seconds, 3) for seconds in counts.sums],
        )
        for counts in both
    ]
    assert seen[0] == seen[1]


def test_labels_beyond_the_bounds_count_as_others() -> None:
    made = groups.Groups()
    first, *more = [made.make(key, None) for key in "abcdefgh"]
    found = [made.of(first, str(number)) for number in range(groups.MOST_LABELS + 20)]
    assert len(set(found)) == groups.MOST_LABELS + 1 and {one.label for one in found[-20:]} == {groups.OTHERS}
    assert made.of(first, "7") is found[7]
    for base in more:
        found += [made.of(base, str(number)) for number in range(groups.MOST_LABELS)]
    assert groups.MOST_LABELLED <= len(set(found)) <= groups.MOST_LABELLED + 8
    assert (found[-1].label, found[-1].coro) == (groups.OTHERS, more[-1].coro)


class _Overtaken(dict[Any, Any]):
    """A table in which another thread makes what is not there as soon as that is known, or one step later."""

    def __init__(self, make: Callable[[], Any], later: bool) -> None:
        super().__init__()
        self.make, self.later, self.made = make, later, 0

    def get(self, key: Any, default: Any = None) -> Any:
        found = dict.get(self, key, default)
        if found is None and not self.made and not self.later:
            self.made += 1
            self.make()
        return found

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if not self.made:
            self.made += 1
            self.make()
        return dict.setdefault(self, key, default)


@pytest.mark.parametrize("later", [False, True])
def test_two_threads_that_make_a_group_get_the_same(later: bool) -> None:
    made = groups.Groups()
    adapted: list[Any] = []
    made.on_made = lambda group, coro: adapted.append(group)
    code = test_two_threads_that_make_a_group_get_the_same.__code__
    asked: dict[str, Callable[[], Any]] = {
        "_being_made" if later else "by_key": lambda: made.make(code, None),
        "by_label": lambda: made.of(made.make(code, None), "GET /"),
        "by_site": lambda: made.of_site(code, -1),
    }
    for name, ask in asked.items():
        others: list[Any] = []
        table = _Overtaken(lambda ask=ask, others=others: others.append(ask()), later)
        setattr(made, name, table)
        assert ask() is others.pop() is ask()
        assert table.made == 1
    assert [one.label for one in made.by_number.values()] == [None, "GET /"]
    assert len(adapted) == len(made.by_site) == 1 and not made._being_made


def test_a_label_of_a_forgotten_group_is_not_counted_in_another() -> None:
    made = groups.Groups()
    before = made.make("old", None)
    made.clear()
    base = made.make("new", None)
    labelled = made.of(base, "GET /")
    assert made.of(before, "GET /") is before
    assert set(made.by_number.values()) == {base, labelled}


@pytest.mark.parametrize("exponent", [-5, -3, -1, 1, 3])
def test_a_bucket_is_within_three_percent(exponent: int) -> None:
    chance = random.Random(exponent)
    for _ in range(2000):
        seconds = 10**exponent * chance.uniform(1, 10)
        assert abs(middle(groups.bucket_of(seconds)) - seconds) <= 0.032 * seconds + 1e-6


def test_percentiles_of_many() -> None:
    chance = random.Random(3)
    ages = sorted(chance.lognormvariate(-4, 1) for _ in range(20_000))
    counts = groups.GroupCounts(1, None, "work")
    for number, age in enumerate(ages):
        counts.add(number, 3, 0.0, age, age, 0.0)
    distribution = Distribution.of(counts.histogram(groups.AGE))
    assert distribution.total == 20_000
    for share in (0.5, 0.9, 0.99):
        exact = ages[math.ceil(share * len(ages)) - 1]
        assert abs((distribution.at(share) or 0.0) - exact) <= 0.05 * exact


BODY = """
    import probes
    groups = next(module.groups for name, module in sys.modules.items() if name.endswith(".hooks.groups"))

    async def work(number):
        probes.label(f"job {number % 3}")
        await asyncio.sleep(0.001 * (number % 3))

    async def short():
        pass

    async def fails():
        raise ValueError("on purpose")

    async def waits():
        await asyncio.Event().wait()

    async def main():
        probe = sys._looptop_probe
        while not probe.counting.on:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        cancelled = [asyncio.create_task(waits()) for _ in range(5)]
        for _ in range(100):
            await asyncio.gather(*(work(number) for number in range(9)), short(), fails(), return_exceptions=True)
        for task in cancelled[:3]:
            task.cancel()
        for number in range(600):
            asyncio.create_task(short())
        await asyncio.sleep(0)
        lost = [asyncio.create_task(short()) for _ in range(7)]
        await asyncio.sleep(0.1)
        for group in list(groups.by_number.values()):
            print(f"{group.coro} {group.label or '-'}: {group.live} {group.ended} {group.failed} {group.cancelled}")
        print("over", flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


@pytest.mark.parametrize("pure", ["0", "1"])
def test_every_end_is_counted(pure: str, tmp_path: Path) -> None:
    """Also of tasks that end between two looks, in their first step, or are cancelled before it."""
    environ = {"LOOPTOP_PURE": pure, "PYTHONPATH": str(ROOT)}
    with (
        Program(source(BODY), folder=tmp_path, env=environ) as program,
        program.viewer(rate=4, groups=True, groups_by_site=True) as viewer,
    ):
        lines = []
        while (line := program.line()) != "over":
            lines.append(line)
        assert {"work job 0: 0 300 0 0", "work job 1: 0 300 0 0", "work job 2: 0 300 0 0"} <= set(lines)
        assert "short -: 0 707 0 0" in lines
        assert "fails -: 0 100 100 0" in lines
        assert "waits -: 2 3 0 3" in lines

        def known() -> list[list[object]]:
            rows = [
                row
                for frame in viewer.frames
                if frame["type"] == "tick"
                for row in frame.get("groups", {}).get("rows", ())
            ]
            sites.update({row[3]: row for row in rows if row[18]})
            return [row for row in rows if viewer.strings[row[2]] == "job 2" and row[5] == 300]

        sites: dict[int, list[object]] = {}
        row = viewer.until(known, "the group of job 2")[0]
        wanted = {(0, 1100, 100, 0), (2, 3, 0, 3), (0, 600, 0, 0), (0, 7, 0, 0)}  # live, ended, failed, cancelled
        viewer.until(lambda: known() and wanted <= {tuple(row[4:8]) for row in sites.values()}, "all creation sites")
        made = next(row for row in sites.values() if row[5] == 1100)
        assert viewer.site(made[3])[2] == "main" and len({tuple(viewer.site(number)) for number in sites}) == len(sites)
        assert [sum(made[place][1::2]) for place in (10, 11, 12, 13)] == [1100] * 4
        assert viewer.strings[row[1]] == "work"
        assert row[9][0] >= 300 * 2000 and sum(row[10][1::2]) == 300
