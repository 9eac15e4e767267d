"""`looptop samples check` on real samples, and what it says of those that miss something or cannot run."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from interpreters import VERSIONS, find_python, version_of
from representatives import chosen

from monitor.cli import main
from monitor.plain.samples import result_lines, summary
from monitor.samples.check import Result, check
from monitor.samples.judge import judge
from monitor.samples.observation import Observation
from monitor.samples.observe import observe
from sample_apps import catalogue
from sample_apps.catalogue import declared
from sample_apps.vocabulary import NotSeenYet

ROOT = Path(__file__).parents[2]
FAULTY = """
import sys
from sample_apps.catalogue import Sample
from sample_apps.vocabulary import {words}

SAMPLE = Sample(name="faulty", topic="tasks", sentence="It is wrong.", fix={fix!r}, expectations=({expectations},))
"""


def declare(folder, words="NoSlowCallback", expectations="NoSlowCallback()", fix=None):
    path = folder / "faulty.py"
    path.write_text(FAULTY.format(words=words, expectations=expectations, fix=fix))
    spec = importlib.util.spec_from_file_location("faulty", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return declared(module)


def test_the_samples_are_seen_as_they_say():
    command = [sys.executable, "-m", "monitor", "samples", "check", "--json", *chosen()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600 if len(chosen()) > 50 else 280)
    told = json.loads(done.stdout)
    missed = {
        sample["name"]: sample["trouble"]
        or [(one["sentence"], one["seen"]) for one in sample["expectations"] if one["outcome"] == "missed"]
        for sample in told["samples"]
        if not sample["good"]
    }
    assert missed == {}
    assert (done.returncode, done.stderr, told["good"], told["missed"]) == (0, "", True, 0)
    assert {sample["name"] for sample in told["samples"]} == set(chosen())
    wrong = [sample for sample in told["samples"] if chosen()[sample["name"]].fix in chosen() and not sample["skipped"]]
    assert wrong and all(sample["unlike_its_fix"] is True for sample in wrong)


def test_a_missed_expectation_is_status_1_and_says_what_was_seen(monkeypatch, capsys):
    monkeypatch.setattr("monitor.samples.check.check", lambda *_: iter([missed()]))
    assert main(["samples", "check", "task_leak"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "MISSED   task_leak  0 met, 1 missed"
    words = " ".join(out.split())  # a line is folded where the terminal ends
    assert "MISSED the number of tasks created at `starts` grows by 10 a second or more; seen instead: 0 to 0" in words
    assert "; look at task_leak" in out.splitlines()[-1]


def missed():
    from monitor.samples.judge import Verdict

    sample = catalogue.find("task_leak")
    return Result(sample, [Verdict(sample.expectations[0], "missed", "0 to 0")])


def test_what_misses_something_is_run_again_alone_and_the_last_run_counts():
    runs = []

    def run(sample):
        runs.append(sample.name)
        found = Observation(first=1.0, last=2.0)
        if len(runs) < 3:
            found.trouble = "the machine was busy"
        return found

    sample = catalogue.find("never_awaited_awaited")
    results = list(check([sample], again=2, run=run))
    assert len(runs) == 3
    assert [(result.attempts, result.trouble) for result in results] == [(3, "")]


def test_a_wrong_sample_that_looks_like_its_fix_is_not_good():
    wrong, right = catalogue.find("lock_convoy"), catalogue.find("lock_convoy_brief")

    def run(sample):
        return convoy()

    results = {result.sample.name: result for result in check([wrong, right], again=0, run=run)}
    assert results["lock_convoy"].unlike is False
    assert not results["lock_convoy"].good
    assert any("looks the same" in line for line in result_lines(results["lock_convoy"], 200, False))


def convoy():
    """What a lock convoy looks like: eight tasks wait for one lock that another holds."""
    from monitor.samples.findings import SeenFinding
    from monitor.samples.observation import Life, LoopFigures, WaitSnapshot
    from monitor.store.model import TaskDetail, Wait

    lives = {1: Life("holder", None, 0, False, 0.0, 3.0, 5, 0.0)}
    lives |= {number: Life(f"waiter-{number}", None, 0, False, 0.0, 3.0, 6, 0.0) for number in range(2, 10)}
    wait = Wait("lock", "Lock(locked, 8 waiting)", {"holder": 1})
    details = {number: TaskDetail(number, (), (), wait, (), None, None, None) for number in range(2, 10)}
    looks = [WaitSnapshot(float(at), frozenset(lives), details) for at in range(3)]
    return Observation(
        lives,
        looks,
        {1: LoopFigures(0.0, 0.0, 3.0, 0.01)},
        findings=[SeenFinding("lock_convoy", ("holder",))],
        first=0.0,
        last=3.0,
    )


def test_what_can_not_run_here_is_skipped(tmp_path, monkeypatch):
    sample = catalogue.find("eager_tasks")
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    [result] = check([sample], run=lambda sample: pytest.fail("it ran"))
    assert (result.skipped, result.good) == ("needs Python 3.12", True)
    assert result_lines(result, 80, False)[0].startswith("skipped  eager_tasks")
    assert "1 sample skipped" in summary([result])


def test_every_gap_has_its_reason():
    gaps = [one for sample in catalogue.samples() for one in sample.expectations if isinstance(one, NotSeenYet)]
    assert gaps and all(len(gap.because) > 10 for gap in gaps)


def test_a_broken_declaration_is_a_usage_error_that_names_file_and_field(tmp_path, monkeypatch, capsys):
    def broken(name):
        return declare(tmp_path, "SlowCallback", 'SlowCallback(task="a", line="nowhere", at_least=0.1)')

    monkeypatch.setattr(catalogue, "find", broken)
    assert main(["samples", "check", "faulty"]) == 2
    assert capsys.readouterr().err == (
        f"looptop: {tmp_path / 'faulty.py'}: SAMPLE.expectations[0] SlowCallback.line: no line is marked "
        "'# expect: nowhere': mend the declaration\n"
    )


@pytest.mark.parametrize(
    ("words", "expectation", "field", "why"),
    [
        ("TaskEnded", 'TaskEnded(task="a", outcome="finished")', "TaskEnded.outcome", "'finished' is none of done, "),
        ("Waiting", 'Waiting(kind="lok", task="a")', "Waiting.kind", "'lok' is none of barrier, "),
        ("Finding", 'Finding("slow")', "Finding.kind", "'slow' is none of loop_blocked, "),
        ("Utilization", 'Utilization(at_least="much")', "Utilization.at_least", "'much' is no "),
        ("LoopLag", "LoopLag(at_most=-1)", "LoopLag.at_most", "-1 is no "),
        ("Child", 'Child(task="", parent="a")', "Child.task", "'' is no "),
        ("NotSeenYet", 'NotSeenYet("a thing", because="")', "NotSeenYet.because", "'' is no "),
        ("AwaitStack", 'AwaitStack(task="a", through=())', "AwaitStack.through", "() is no "),
        ("NotSeenYet", "NotSeenYet(None, because='no')", "NotSeenYet.what", "None is "),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(tmp_path, words, expectation, field, why):
    with pytest.raises(catalogue.BadSample) as error:
        declare(tmp_path, words, expectation)
    assert f"SAMPLE.expectations[0] {field}: {why}" in str(error.value)


def test_a_module_that_can_not_be_imported_names_its_line(tmp_path, monkeypatch):
    (tmp_path / "no_such_word.py").write_text("from sample_apps.vocabulary import (\n    Mystery,\n)\n")
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "catalogue.py"))
    monkeypatch.setattr("sample_apps.__path__", [str(tmp_path)])
    with pytest.raises(
        catalogue.BadSample, match=r"no_such_word\.py: line 1: ImportError: cannot import name 'Mystery'"
    ):
        catalogue.find("no_such_word")


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "3.12"])
def test_what_needs_a_newer_python_is_seen_there(version, monkeypatch):
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for sample in catalogue.samples():
        if (3, 11) < sample.python <= version_of(python):
            for _ in range(3):  # as `check` does, for a machine that is busy
                seen = observe(sample, (python, "-P", "-m", f"sample_apps.{sample.name}", "--seconds", "60"))
                missed = [verdict for verdict in judge(sample, seen) if verdict.outcome == "missed"]
                if not seen.trouble and not missed:
                    break
            assert (seen.trouble, missed) == ("", [])
