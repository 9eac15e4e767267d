"""Each sample as a person runs it: a process that ends by itself, or when told to, and with status 0."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest
from representatives import chosen

from monitor.samples.check import cannot_run
from sample_apps.vocabulary import Expectation, Finding, NotSeenYet, Unhandled

SAMPLES = chosen()
DEADLINE = 90.0  # for what takes a second or two when nobody else wants the processor
PROMPT = 60.0  # and from a signal to the end, the longest step of a sample included


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield pool


@pytest.fixture(scope="module")
def runs(pool) -> dict[str, Future[Ended]]:
    return {name: pool.submit(run, name, "--seconds", "1") for name in SAMPLES if not cannot_run(SAMPLES[name])}


@pytest.fixture(scope="module")
def interrupted(pool) -> dict[str, Future[Ended]]:
    return {name: pool.submit(interrupt, name, signal.SIGINT) for name in SAMPLES if not cannot_run(SAMPLES[name])}


def run(name: str, *arguments: str) -> Ended:
    command = [sys.executable, "-m", f"sample_apps.{name}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    return Ended(result.returncode, result.stdout, result.stderr)


def interrupt(name: str, signal_: signal.Signals) -> Ended:
    """Start a sample without an end, wait until it has printed something of its own, and send it the signal."""
    command = [sys.executable, "-m", f"sample_apps.{name}", "--seconds", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        give_up = threading.Timer(DEADLINE, process.kill)
        give_up.start()
        said = process.stdout.readline() + process.stdout.readline()
        give_up.cancel()
        process.send_signal(signal_)
        try:
            stdout, stderr = process.communicate(timeout=PROMPT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Ended(process.returncode, said + stdout, stderr)


def skip_what_cannot_run(name: str) -> None:
    why = cannot_run(SAMPLES[name])
    if why:
        pytest.skip(why)


def complains(expectation: Expectation) -> bool:
    """Whether what is expected is on stderr as well."""
    inner = expectation.what if isinstance(expectation, NotSeenYet) else expectation
    return isinstance(inner, Unhandled) or (isinstance(inner, Finding) and inner.kind == "never_awaited")


def assert_clean(name: str, ended: Ended) -> None:
    if any(complains(expectation) for expectation in SAMPLES[name].expectations):
        assert (ended.status, "KeyboardInterrupt" in ended.stderr) == (0, False), ended.stderr
    else:
        assert (ended.status, ended.stderr) == (0, "")
    first, *others = ended.stdout.splitlines()
    assert first.startswith(f"{name} (pid ") and first.endswith(SAMPLES[name].sentence)
    assert "Traceback" not in ended.stdout, others


@pytest.mark.parametrize("name", SAMPLES)
def test_it_ends_when_its_time_is_over(runs, name):
    skip_what_cannot_run(name)
    assert_clean(name, runs[name].result())


@pytest.mark.parametrize("name", SAMPLES)
def test_it_ends_on_sigint(interrupted, name):
    skip_what_cannot_run(name)
    assert_clean(name, interrupted[name].result())


def test_it_ends_on_sigterm():
    assert_clean("demo", interrupt("demo", signal.SIGTERM))


def test_asyncio_complains_about_what_is_never_retrieved(runs):
    assert "Task exception was never retrieved" in runs["never_retrieved"].result().stderr


@pytest.mark.parametrize("name", ["aiohttp_server", "demo", "streams_echo"])
def test_it_runs_on_uvloop(name):
    pytest.importorskip("uvloop")
    assert_clean(name, run(name, "--seconds", "1", "--uvloop"))


def test_the_seed_decides(pool):
    shortest = 0
    for seconds in ("2.5", "10", "40"):  # longer if the machine stood still
        finds = [pool.submit(run, "queue_blocking", "--seconds", seconds, "--seed", seed) for seed in ("1", "1", "2")]
        one, again, other = (future.result().stdout.splitlines()[1:] for future in finds)
        shortest = min(len(one), len(again), len(other))
        if shortest:
            break
    assert shortest and one[:shortest] == again[:shortest] != other[:shortest]


@pytest.mark.parametrize(("name", "module"), [("aiohttp_server", "aiohttp"), ("task_leak", "uvloop")])
def test_a_missing_module_is_one_clear_line(name, module):
    code = f"""
import runpy, sys
sys.modules[{module!r}] = None
sys.argv = ["-", "--uvloop"]
runpy.run_module("sample_apps.{name}", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"{name} needs {module}: pip install 'looptop[samples]'\n"


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_wrong_time_is_a_usage_error(seconds):
    ended = run("task_leak", f"--seconds={seconds}")
    assert ended.status == 2
    assert ended.stderr.endswith(f"argument --seconds: {seconds!r} is not a number of seconds\n")
