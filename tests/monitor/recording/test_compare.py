"""Two recordings side by side: figures known by construction, what got worse first, conditions."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Script, frame, record

from monitor.errors import UsageError
from monitor.flame.tree import Change
from monitor.plain.compare import comparison_lines
from monitor.protocol.frames import Event, Tick
from monitor.recording.compare import FIGURES, Line, by_chance, compare, condition, failing, pairs
from monitor.recording.figures import Figures, Place, figures
from monitor.store.model import Site


class Steady(Script):
    """Two ticks a second: lag 1 ms (every fiftieth: `worst`), 10 births a second, 20 % busy at one site."""

    worst = 100_000
    line = 2
    share = 0.2
    rss = 100 << 20
    growth = 0

    def __post_init__(self):
        super().__post_init__()
        self.tasks = 0
        self.number = 0

    def tick(self):
        self.number += 1
        n, self.at = self.number, self.at + 500_000
        lag = self.worst if n % 50 == 0 else 1000
        if n % 50 == 0:
            yield self.event(
                "slow_callback", duration=self.worst, task=1, name="w", callback="w", stack=[self.line], blame=0
            )
        busy = round(n * 500_000 * self.share)
        site = [2, 5 * n, 5 * n, n // 10, 0, busy, 7 * n]
        process = {"rss": self.rss + self.growth * n, "cpu": n * 100_000, "threads": 1, "fds": 3}
        yield frame(
            type="tick", at=self.at, loops=[[1, lag, busy, 0, 0, 7 * n, None, 0]], sites=[site], process=process
        )


def steady(path, **changes):
    made = type("Changed", (Steady,), changes)()
    return record(path, ticks=400, script=made, moments=False).path


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return steady(folder / "a"), steady(folder / "b", worst=300_000, line=4, share=0.3, growth=50_000)


def test_figures_are_those_of_the_program(both):
    found = figures(both[0], skip=10)
    values = found.values
    assert found.duration == pytest.approx(190, abs=1)
    assert values["tasks_per_s"] == pytest.approx(10, rel=0.01)
    assert values["steps_per_s"] == pytest.approx(14, rel=0.01)
    assert values["busy"] == pytest.approx(0.2, rel=0.01)
    assert values["utilization"] == pytest.approx(0.2, rel=0.01)
    assert values["cpu"] == pytest.approx(0.2, rel=0.01)
    lags = [values[f"lag_{which}"] for which in ("p50", "p90", "p99", "max")]
    assert lags == pytest.approx([0.001, 0.001, 0.1, 0.1])
    assert values["slow_per_min"] == pytest.approx(8 / 190 * 60, rel=0.02)
    assert values["failed_per_min"] == pytest.approx(12, rel=0.02)
    assert (values["rss_mean"], values["rss_max"], values["rss_growth"]) == (100 << 20, 100 << 20, 0)
    assert found.busy == {Place(["/srv", "app.py"][1], "worker", 42): pytest.approx(0.2, rel=0.01)}
    (slow,) = found.slow.values()
    assert (slow.count, slow.worst) == (8, pytest.approx(0.1))


def test_cpu_of_the_life_before_is_not_counted(tmp_path):
    class Late(Steady):
        """Lived for an hour, and does not tell what the process used at first."""

        def tick(self):
            for told in super().tick():
                if isinstance(told, Tick):
                    process = msgspec.structs.replace(told.process, cpu=told.process.cpu + 3_600_000_000)
                    told = msgspec.structs.replace(told, process=None if self.number < 3 else process)
                yield told

    path = record(tmp_path / "late", ticks=100, script=Late(), moments=False).path
    assert figures(path).values["cpu"] == pytest.approx(0.2, rel=0.02)


def test_what_was_counted_before_the_recording_is_not_its_own(tmp_path):
    class AlwaysOn(Steady):
        """Made 100,000 tasks, which were busy for 50 s, before the recording began."""

        def tick(self):
            for told in super().tick():
                if isinstance(told, Tick):
                    (site,) = told.sites
                    site = msgspec.structs.replace(site, born=site.born + 100_000, ended=site.ended + 100_000)
                    told = msgspec.structs.replace(
                        told, sites=[msgspec.structs.replace(site, busy=site.busy + 50_000_000)]
                    )
                yield told

    path = record(tmp_path / "old", ticks=20, script=AlwaysOn(), moments=False).path
    found = figures(path)
    assert found.values["tasks_per_s"] == found.values["ended_per_s"] == pytest.approx(10)
    assert found.counts["tasks_per_s"] == pytest.approx(10 * found.duration, abs=10)
    assert found.values["busy"] == pytest.approx(0.2)
    assert (list(found.busy.values()), list(found.born.values())) == ([pytest.approx(0.2)], [pytest.approx(10)])
    assert failing(
        [condition("busy>30%"), condition("tasks_per_s>11"), condition("ended_per_s>11")], compare(found, found)
    ) == ([], [])


def test_what_got_worse_comes_first(both):
    found = compare(figures(both[0]), figures(both[1]))
    verdicts = [line.verdict for line in found.lines]
    assert verdicts == sorted(verdicts, key=["worse", "same", "better", ""].index)
    worse = {line.figure.key for line in found.lines if line.verdict == "worse"}
    assert {"lag_p99", "lag_max", "slow_max", "blocked", "busy", "utilization", "rss_growth", "slow_new"} <= worse
    assert not worse & {"lag_p50", "tasks_per_s", "steps_per_s", "slow_per_min"}
    assert next(line for line in found.lines if line.figure.key == "rss_growth").b == pytest.approx(50_000 * 120)
    assert [(line.a, str(line.b)) for line in found.blocking if line.b] == [(None, "db.py:115 query")]
    assert [site.busy for site in found.sites] == [pytest.approx((0.2, 0.3), rel=0.01)]


def test_a_recording_against_itself_is_the_same(both):
    found = compare(figures(both[0]), figures(both[0]))
    assert {line.verdict for line in found.lines} <= {"same", ""}
    assert failing([condition("slow_new>0"), condition("lag_p99>+0%")], found) == ([], [])


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("lag_p99>+20%", True),
        ("lag_p99>+250%", False),
        ("lag_p99 >= 300ms", True),
        ("lag_p99>0.4", False),
        ("lag_p99>+150ms", True),
        ("tasks_per_s<-1%", False),
        ("busy>25%", True),
        ("busy>+5%", True),
        ("busy>+60%", False),
        ("rss_max>100MB", True),
        ("rss_max>1GiB", False),
        ("slow_new>0", True),
        ("steps_per_s<20", True),
    ],
)
def test_conditions(both, text, fails):
    found = compare(figures(both[0]), figures(both[1]))
    failed, unknown = failing([condition(text)], found)
    assert (bool(failed), unknown) == (fails, [])


@pytest.mark.parametrize(
    "text", ["", "lag", "lag>1", "lag_p99>", "lag_p99>20%", "lag_p99>1MB", "rss_max>5ms", "busy>1ms", "x>+1%"]
)
def test_what_is_no_condition(text):
    with pytest.raises(UsageError, match="--fail-if"):
        condition(text)


def test_from_nothing_and_not_known():
    lag = FIGURES[0]
    assert Line(lag, 0.0, 1.0).change == math.inf
    assert Line(lag, 0.0, 0.0).change == 0.0
    assert (Line(lag, None, 1.0).change, Line(lag, None, 1.0).verdict) == (None, "")
    empty = [Figures(Path("x"), "", "", 0.0, 1.0) for _ in "ab"]
    assert failing([condition("lag_p99>1")], compare(*empty))[1]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 3, True),
        (3, 1, True),
        (5, 8, True),
        (10, 30, False),
        (30, 10, False),
        (0, 0, True),
        (0, 1, True),
        (0, 3, False),
        (1000, 1010, True),
        (1000, 1200, False),
        (200_000, 220_000, False),
    ],
)
def test_few_events_differ_by_chance(a, b, same):
    assert by_chance(a, b, 0.5) == same


def test_few_events_in_a_longer_recording():
    assert by_chance(10, 30, 0.25)  # A lasted a third of the time of B
    assert not by_chance(10, 30, 0.6)


def test_one_slow_callback_against_three_is_not_worse(tmp_path):
    class Once(Steady):
        def tick(self):
            yield from (one for one in super().tick() if self.number in self.chosen or not isinstance(one, Event))

    sides = [type("Changed", (Once,), {"chosen": chosen}) for chosen in ((100,), (100, 200, 300))]
    paths = [
        record(tmp_path / name, ticks=400, script=side(), moments=False).path
        for name, side in zip("ab", sides, strict=True)
    ]
    found = compare(*map(figures, paths))
    assert [line.b for line in found.lines if line.figure.key == "slow_per_min"] == [pytest.approx(0.9, rel=0.01)]
    assert {line.verdict for line in found.lines if line.figure.key in ("slow_per_min", "blocked")} == {"same"}
    assert [line.chance for line in found.blocking] == [True]


def test_lines_that_moved_are_the_same_lines():
    a = [Place("app.py", "main", 10), Place("app.py", "main", 12), Place("app.py", "gone", 5)]
    b = [Place("app.py", "main", 11), Place("app.py", "main", 13), Place("app.py", "new", 50)]
    assert pairs(a, b) == [(a[2], None), (a[0], b[0]), (a[1], b[1]), (None, b[2])]
    assert pairs(a[:2], [*a[:2], Place("app.py", "main", 11)]) == [
        *zip(a[:2], a[:2], strict=True),
        (None, Place("app.py", "main", 11)),
    ]


places = st.builds(Place, st.sampled_from(["a.py", "b.py"]), st.sampled_from(["f", "g"]), st.integers(1, 9))


@given(st.lists(places, unique=True), st.lists(places, unique=True))
def test_each_place_is_in_one_pair(a, b):
    found = pairs(a, b)
    assert sorted(map(str, a)) == sorted(str(left) for left, _ in found if left is not None)
    assert sorted(map(str, b)) == sorted(str(right) for _, right in found if right is not None)


def test_too_short(tmp_path):
    path = record(tmp_path / "a", ticks=3, moments=False).path
    with pytest.raises(UsageError, match="too short to be compared: 2"):
        figures(path, skip=2)


def test_a_mean_of_few_tasks_fits_the_change_beside_it():
    text = next(figure for figure in FIGURES if figure.key == "tasks_mean").text
    assert [text(value) for value in (4.4, 2.9, 3.0, 0.0, 250.4, 1_240_000, None)] == [
        "4.4", "2.9", "3", "0", "250", "1.24M", "–",
    ]  # fmt: skip


def test_what_only_one_of_them_has_is_marked_and_each_says_which_process_it_is():
    serve, late = Place("server.py", "serve", 9), Place("app.py", "spawn", 3)
    a, b = (
        Figures(Path(name), "app.py", "api", 1e9, 10.0, busy=busy, born=born, processes=pids)
        for name, pids, busy, born in (
            ("a", (71,), {serve: 0.1, late: 0.0}, {serve: 0.2, late: 0.0}),
            ("b", (72, 73), {serve: 0.1, late: 0.4}, {serve: 0.2, late: 5.0}),
        )
    )
    site = Site("app.py", 3, "spawn")
    frames = [Change(site, (0.0, 0.3), (0.0, 0.4)), Change(site, (0.3, 0.3), (0.4, 0.4))]
    lines = comparison_lines(compare(a, b), 120, colour=False, frames=frames)
    assert lines[0].startswith("A  a  @api  pid 71  10.0s from") and lines[1].startswith(
        "B  b  @api  2 processes  10.0s"
    )
    text = "\n".join(lines)
    assert "worse  app.py:3 spawn (only in B)" in text and "server.py:9 serve  " in text
    assert "worse  spawn app.py (only in B)  " in text and "       spawn app.py  " in text
