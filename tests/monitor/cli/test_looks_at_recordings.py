"""Every command that looks once takes a recording as its TARGET."""

import json
import sys
from pathlib import Path

import pytest

from monitor.cli import main

sys.path.insert(0, str(Path(__file__).parent.parent / "recording"))
from scripted import NOW, Script, frame, record


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("looks") / "a.looptop"
    return record(path, ticks=120, script=Script(slow=0.2))


@pytest.fixture
def run(capsys):
    def run(*args):
        status = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_tasks_are_those_of_the_time(run, recorded):
    status, out, err = run("tasks", recorded.path, "--json", "--sort", "id", "--at", "31.4")
    assert (status, err) == (0, "")
    (live,) = [moment for at, moment in recorded.moments if at == NOW + 31_000_000]
    ids, total = [], 0
    for step in live.tasks.id:
        ids.append(total := total + step)
    found = json.loads(out)
    assert [task["id"] for task in found["tasks"]] == sorted(ids)
    assert found["session"]["now"] == pytest.approx(NOW / 1e6 + 31, abs=0.001)
    assert {task["waiting_on"]["kind"] for task in found["tasks"] if task["waiting_on"]} >= {"lock"}


def test_tasks_as_a_table_with_what_ended(run, recorded):
    status, out, _ = run("tasks", recorded.path, "--ended", "--limit", "3", "--tree")
    assert status == 0
    assert "app.py --port 80  @api  pid 4242" in out and "Outcome" in out


def test_watch_prints_all_of_it_at_once(run, recorded):
    status, out, _ = run("watch", recorded.path, "--json")
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    times = [line["time"] for line in lines if line["type"] == "loop"]
    assert times == sorted(times) and times[-1] - times[0] > 57
    ended = [line["task"] for line in lines if line["type"] == "task_ended"]
    assert len(ended) == recorded.store.ended_total
    slow = [line for line in lines if line["type"] == "slow_callback"]
    assert len(slow) == sum(line.count for line in recorded.store.slow.lines.values())
    longest = max(line["duration"] for line in slow)
    status, out, _ = run("watch", recorded.path, "--json", "--slow", longest)
    assert sum('"slow_callback"' in line for line in out.splitlines()) == 1
    part = run("watch", recorded.path, "--json", "--at", "10", "--duration", "5")[1]
    times = [json.loads(line)["time"] - NOW / 1e6 for line in part.splitlines()]
    assert times and min(times) > 9 and max(times) <= 15


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["tasks", "FILE", "--at", "99"], "99 is not in the recording: it goes from"),
        (["tasks", "FILE", "--at", "noon"], "'noon' is not a time: seconds since the start, such as 90 or 2m"),
        (["tasks", "none.looptop"], "no such file: none.looptop"),
        (["tasks", __file__], "is not a looptop recording: looptop record TARGET -o FILE makes one"),
        (["watch", "@api", "--at", "3"], "--at is for a recording: @api is not one"),
        (["replay", "none.looptop"], "no such file: none.looptop"),
        (["record", "FILE"], "is a file, not a program: name one that runs"),
    ],
)
def test_what_can_not_be_done_is_one_line(run, recorded, args, said):
    status, out, err = run(*(recorded.path if arg == "FILE" else arg for arg in args))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_without_a_terminal_replay_prints_one_table(run, recorded):
    status, out, err = run("replay", recorded.path, "--from", "10")
    assert (status, "is not a terminal: printing a table" in err) == (0, True)
    assert "@api" in out


def test_memory_and_profile_are_what_was_looked_at(run, recorded, tmp_path):
    path = record(tmp_path / "m.looptop", ticks=120, script=Script(memory=True), moments=False).path
    status, out, err = run("memory", path, "--json")
    assert (status, err) == (0, "")
    assert all(row["size_diff"] > 0 for row in json.loads(out)["diff"])
    assert len(json.loads(out)["diff"]) in (2, 3)
    assert json.loads(run("profile", path, "--json")[1])["functions"][0]["function"] == "f"
    status, out, _ = run("memory", path, "--json", "--limit", "1", "--group", "lineno")
    assert (status, len(json.loads(out)["diff"])) == (0, 1)
    status, _, err = run("memory", path, "--frames", "3")
    assert (status, "--frames is for a running program" in err) == (2, True)
    status, _, err = run("memory", path, "--group", "traceback")
    assert (status, "no snapshot by traceback" in err) == (1, True)
    status, _, err = run("memory", recorded.path)
    assert (status, "no snapshot of memory in this recording up to then" in err) == (1, True)


class Looked(Script):
    """At tick 20 a look that shows growth; at tick 40, after a new baseline, one that shows none."""

    def tick(self):
        yield from super().tick()
        self.number = getattr(self, "number", 0) + 1
        look = {"at": self.at, "blocks": 9, "groups": 3, "pause": 500, "took": 900, "traced": 1 << 20, "peak": 1 << 21}
        look |= {"overhead": 99, "group": "lineno", "against": "baseline"}
        if self.number in (10, 39):
            yield frame(type="reply", id=5, ok=True, memory={**look, "rows": None})
        if self.number in (20, 40):
            rows = [[[2], 2 << 20, 960 << 10 if self.number == 20 else 0, 9, 1 if self.number == 20 else 0]]
            yield frame(type="reply", id=5, ok=True, memory={**look, "rows": rows, "against_at": self.at - 5_000_000})


def test_the_newest_look_at_memory_in_which_something_had_grown(run, tmp_path):
    path = record(tmp_path / "m.looptop", ticks=60, script=Looked(), moments=False).path
    status, out, err = run("memory", path)
    assert (status, "+960KiB" in out) == (0, True)
    assert "nothing had grown at the newest look: this is the look" in err
    grown = json.loads(run("memory", path, "--json", "--at", "12")[1])
    assert (grown["duration"], grown["diff"][0]["size_diff"]) == (5.0, 960 << 10)


def test_compare_and_its_exit_status(run, recorded, tmp_path):
    other = record(tmp_path / "b.looptop", ticks=120, script=Script(slow=0.9), moments=False).path
    status, out, err = run(
        "compare", recorded.path, other, "--fail-if", "slow_per_min>+2000%", "--fail-if", "rss_max>9GB"
    )
    verdicts = [line.partition(" (")[0] for line in err.splitlines()]
    assert (status, verdicts) == (0, ["looptop: passed: slow_per_min>+2000%", "looptop: passed: rss_max>9GB"])
    assert out.splitlines()[0].startswith("A  ") and "worse  " in out.splitlines()[4]
    status, out, err = run("compare", recorded.path, other, "--json", "--fail-if", "slow_per_min > +50%")
    found = json.loads(out)
    assert (status, found["failed"]) == (1, ["slow_per_min > +50%"])
    assert "looptop: failed: slow_per_min > +50% (" in err
    assert {line["key"]: line["verdict"] for line in found["figures"]}["slow_per_min"] == "worse"
    assert found["busy_by_site"] and found["slow_by_line"]
    status, _, err = run("compare", recorded.path, other, "--fail-if", "speed>1")
    assert (status, "knows no speed: there is lag_p50" in err) == (2, True)


def test_a_flame_graph_is_written_in_the_format_of_the_ending(run, recorded, tmp_path):
    begins = {
        "f.html": b"<!doctype html>",
        "f.json": b'{"$schema"',
        "f.pb.gz": b"\x1f\x8b",
        "F.FOLDED": b"",
        "f.txt": b"",
        "f": b"",
    }
    found = {}
    for name, begin in begins.items():
        status, out, _ = run("flame", recorded.path, "-o", tmp_path / name)
        found[name] = (tmp_path / name).read_bytes()
        assert (status, out, found[name][: len(begin)].lower()) == (0, "", begin), name
    assert found["f.txt"] == found["f"] != found["F.FOLDED"]
    assert all(line.rpartition(b" ")[2].isdigit() for line in found["F.FOLDED"].splitlines())
    status, _, err = run("flame", recorded.path, "-o", tmp_path / "f.svg")
    assert (status, "f.svg: .svg is not a format of flame graphs: there is .html" in err) == (2, True)
    assert not (tmp_path / "f.svg").exists()
    status, _, _ = run("flame", recorded.path, "-o", tmp_path / "own.json", "--json")
    assert (status, json.loads((tmp_path / "own.json").read_bytes())["kind"]) == (0, "slow_callbacks")
    status, out, _ = run("flame", "--diff", tmp_path / "own.json", tmp_path / "own.json", "-o", tmp_path / "d.txt")
    assert (status, out, (tmp_path / "d.txt").read_bytes() != b"") == (0, "", True)
