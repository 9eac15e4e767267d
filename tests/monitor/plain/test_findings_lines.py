"""What `looptop findings` prints of a stack."""

from __future__ import annotations

from monitor.findings.model import Finding, Line, Observation
from monitor.findings.rules.engine import Findings
from monitor.plain.findings import Seen, finding_object, seen_lines, watched, watched_all
from monitor.store.model import Site

FRAMEWORK = "/venv/lib/python3.12/site-packages/starlette/routing.py"


def printed(*lines: Line) -> list[str]:
    sign = Observation("loop_blocked", "x", "slow: 3 times", site=Site("/srv/app.py", 7, "crunch"), lines=lines)
    thing = finding_object(Finding(1, sign, since=1.0, seen=2.0)) | {"over": False}
    return [line.strip() for line in seen_lines(Seen([thing], []), 100, colour=False)]


def test_below_a_framework_it_comes_to_the_line_of_the_user() -> None:
    frames = [Line("", Site(FRAMEWORK, 100 + number, "app")) for number in range(30)]
    own = [Line("", Site("/srv/app.py", 12, "view")), Line("", Site("/srv/app.py", 7, "crunch"))]
    text = printed(*frames, *own, Line("also caught here, for 1.00s", Site("/srv/app.py", 9, "crunch")))
    place = text.index("… 30 frames of starlette")
    assert text[place + 1 : place + 4] == [
        "/srv/app.py:12 view",
        "/srv/app.py:7 crunch",
        "also caught here, for 1.00s  /srv/app.py:9 crunch",
    ]


def test_of_many_own_frames_the_innermost_are_printed() -> None:
    text = printed(*(Line("", Site("/srv/app.py", number, f"deep_{number}")) for number in range(40)))
    assert "… 28 more" in text
    assert "/srv/app.py:39 deep_39" in text
    assert "/srv/app.py:1 deep_1" not in text


def test_figures_of_one_of_several_workers_say_whose_they_are() -> None:
    sign = Observation("loop_blocked", "x", "crunch: 4 times in 27s", site=Site("/srv/app.py", 7, "crunch"))
    found = [
        finding_object(Finding(1, sign, since=1.0, seen=2.0)) | {"over": False, "worker": worker, "pid": 70 + worker}
        for worker in (1, 2, 3)
    ]
    text = "\n".join(seen_lines(Seen(found, []), 100, colour=False))
    assert "workers 1, 2, 3" in text
    assert [f"worker {worker}: crunch: 4 times in 27s" in text for worker in (1, 2, 3)] == [True] * 3
    assert "worker 1: crunch" not in "\n".join(seen_lines(Seen(found[:1], []), 100, colour=False))


def test_a_group_that_fails_in_several_workers_is_one_finding_with_the_counts_of_each() -> None:
    found = [
        finding_object(
            Finding(
                1,
                Observation(
                    "responses_failing",
                    "x",
                    f"GET /orders: {30 + worker} of 40 responses",
                    evidence={"group": "GET /orders"},
                ),
                since=1.0,
                seen=2.0,
            )
        )
        | {"over": False, "worker": worker, "pid": 70 + worker}
        for worker in range(1, 7)
    ]
    lines = [line.strip() for line in seen_lines(Seen(found, []), 100, colour=False)]
    assert lines[0] == "✗ route that answers with errors  (seen for 1s)  workers 1, 2, 3, 4, 5, 6"
    assert lines[1:6] == [
        *(f"worker {worker}: GET /orders: {30 + worker} of 40 responses" for worker in (1, 2, 3, 4)),
        "… and 2 more",
    ]


def test_an_empty_answer_says_what_could_not_be_judged_yet() -> None:
    assert seen_lines(Seen([], []), 100, colour=False) == ["no known problem pattern detected"]
    assert seen_lines(Seen([], [], "slow growth is judged after 10m00s (3m00s so far)"), 100, colour=False) == [
        "no known problem pattern detected; slow growth is judged after 10m00s (3m00s so far)"
    ]


def test_of_several_programs_it_is_said_too() -> None:
    class Young(Findings):
        def pending(self) -> list[tuple[str, float]]:
            return [("tasks wait", 10.0), ("busy task", 2.0)]

    young = [Findings(), Young(not_judged="slow growth is judged after 10m00s (1m00s so far)"), Young()]
    seen = watched_all([], list, lambda: young)
    assert seen_lines(seen, 100, colour=False) == [
        "no known problem pattern detected; slow growth is judged after 10m00s (1m00s so far)"
    ]
    assert seen.notes == ["not reported yet: tasks wait must last for 10 s (see --duration)"]


def test_a_line_that_blocks_now_is_not_over() -> None:
    findings, gone = Findings(), []
    for number, line in ((1, 7), (2, 8)):
        site = Site("/srv/app.py", line, "crunch")
        over = finding_object(Finding(number, Observation("loop_blocked", number, "3 times", site=site), 1.0, 2.0))
        gone.append({**over, "type": "finding_gone", "time": 3.0})
    now = Observation("loop_blocked", "now", "blocks", site=Site("/srv/app.py", 7, "crunch"))
    findings.found["loop_blocked", "now"] = Finding(3, now, 3.0, 4.0)
    seen = watched(iter(gone), findings)
    assert [(one["id"], one["over"]) for one in seen.found] == [(3, False), (2, True)]
