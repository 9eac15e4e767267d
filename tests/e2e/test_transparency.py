"""A program is the same with and without the probe: output, log lines, names, reprs, tracebacks and exit status.

Each small program runs plain, with a probe that nobody watches, which remembers and writes a black box where the hooks
are in C, and with one that is counted from its first line (`expect`) and watched by a viewer as soon as it can be.
Their stdout, stderr and status are compared character for character; addresses, durations, and the frames of the loop
itself in tracebacks are put aside.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import pytest
from watched import ROOT, EndedError, Viewer, environment, wait_for_socket

PROGRAMS = Path(__file__).with_name("transparent")
HOWS = [
    "exit-in-task",
    "interrupt-in-task",
    "exit-text",
    "unhandled",
    "base",
    "exit-in-callback",
    "interrupt-in-callback",
    "sigint",
    "sigint-handled",
    "sigterm-handler",
    "sigterm",
]
MODES = ("unwatched", "watched")

_FRAME = re.compile(r'^  File "(.*)", line \d+, in ')


def without_loop_frames(text: str) -> str:
    """Leaves out the frames of asyncio and of the probe, with the lines of source below them."""
    out, dropping = [], False
    for line in text.splitlines():
        bare = re.sub(r"^[ |]*(?=  File )", "", line)
        bare = re.sub(r"^  \| ", "", bare)
        frame = _FRAME.match(bare)
        if frame:
            file = frame[1]
            dropping = "/asyncio/" in file or "/probes/" in file or file.startswith("<frozen")
        elif not bare.startswith("    "):
            dropping = False
        if not dropping:
            out.append(line)
    return "\n".join(out)


def normal(text: str, pid: int) -> str:
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", text)
    text = re.sub(r"\b\d+\.\d{3} seconds", "… seconds", text)
    text = re.sub(r"'LOOPTOP_PURE', '[01]'", "'LOOPTOP_PURE', …", text)  # which hooks are used, set by the tests
    text = re.sub(r"started \d+\)", "started …)", text)
    text = re.sub(r"when=\d+\.\d+", "when=…", text)
    text = re.sub(rf"\b{pid}\b", "PID", text)
    text = re.sub(r"/asyncio/\w+\.py:\d+", "/asyncio/…", text)
    text = re.sub(r"\S*/probes/\w+\.py:\d+", "/asyncio/…", text)
    text = re.sub(r"/\S*/asyncio/…", "/asyncio/…", text)
    return without_loop_frames(text)


def run(python: str, arguments: list[str], folder: Path, mode: str) -> tuple[str, str, int]:
    """Stdout, stderr and status of a program in one of the modes."""
    native = mode == "remembering" or (os.environ.get("LOOPTOP_PURE") is None and has_native_hooks(python))
    settings: dict[str, object] = {"keep_box": native}  # asked for where there can be none, one line says so
    if mode == "watched":  # "attached" is watched from somewhere in the middle
        settings["expect"] = 10
    environ = environment(boot=mode != "plain", settings=settings)
    if mode == "remembering" and "LOOPTOP_PURE" in environ:
        environ["LOOPTOP_PURE"] = "0"
    environ["PYTHONHASHSEED"] = "0"
    runtime = folder / mode
    environ["LOOPTOP_DIR"] = str(runtime)
    process = subprocess.Popen(
        [python, *arguments], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    watcher = None
    if mode in ("watched", "attached"):
        watcher = threading.Thread(target=watch, args=(runtime / f"{process.pid}.sock", process), daemon=True)
        watcher.start()
    try:
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
    if watcher is not None:
        watcher.join(60)
    if mode == "remembering":
        assert list(runtime.glob(f"*-{process.pid}-*.box")), "it remembers, with a black box"
    return normal(out, process.pid), normal(err, process.pid), process.returncode


def watch(path: Path, process: subprocess.Popen[str]) -> None:
    """Looks at everything, as closely as a viewer can."""
    try:
        viewer = Viewer(wait_for_socket(path, process))
        viewer.watch(rate=20, origins=5, slow=10_000)
        while viewer.pump(0.05):
            known = list(viewer.facts)[-50:]
            viewer.watch(window=known, detail=known[-1] if known else None)
    except (AssertionError, EndedError, OSError):
        return


@cache
def _plain(python: str, arguments: tuple[str, ...], folder: Path) -> tuple[str, str, int]:
    return run(python, list(arguments), folder, "plain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the programs beside modules of their own that are called like ours."""
    made = tmp_path_factory.mktemp("t")
    shutil.copytree(PROGRAMS, made, dirs_exist_ok=True)
    shutil.copytree(PROGRAMS / "own", made / "with_own", dirs_exist_ok=True)
    shutil.copy(PROGRAMS / "surroundings.py", made / "with_own")
    return made


def same(python: str, arguments: list[str], folder: Path, mode: str) -> tuple[str, str, int]:
    plain = _plain(python, tuple(arguments), folder)
    modes = [mode]
    if mode == "unwatched" and has_native_hooks(python):
        modes = ["remembering"] if os.environ.get("LOOPTOP_PURE") is None else ["remembering", mode]
    for each in modes:
        probed = run(python, arguments, folder, each)
        assert probed[0] == plain[0]
        assert probed[1] == plain[1]
        assert probed[2] == plain[2]
    return plain


@cache
def has_native_hooks(python: str) -> bool:
    """Whether a Python counts from the start, with a black box; LOOPTOP_TEST_TWIN chooses the hooks for all tests."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from probes.hooks import install; print(install.NATIVE)"
    environ = {**os.environ, "LOOPTOP_PURE": "0"}
    done = subprocess.run([python, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return os.environ.get("LOOPTOP_TEST_TWIN") != "pure" and done.stdout == "True\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "program",
    ["names_and_reprs", "factories", "logs", "debug", "own_loops", "patched", "generators", "inquisitive"],
)
def test_a_program_does_not_change(python: str, folder: Path, program: str, mode: str) -> None:
    same(python, [f"{program}.py", "an argument"], folder, mode)


def test_functions_that_were_replaced_before_it_is_watched_stay_replaced(python: str, folder: Path) -> None:
    out, _, _ = same(python, ["patched.py"], folder, "attached")
    assert "True True" in out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", HOWS)
def test_a_program_ends_the_same_way(python: str, folder: Path, how: str, mode: str) -> None:
    _, _, status = same(python, ["exits.py", how], folder, mode)
    expected = {"exit-in-task": 7, "exit-in-callback": 8, "sigterm": -signal.SIGTERM}
    assert status == expected.get(how, status)


@pytest.mark.parametrize("mode", MODES)
def test_its_surroundings_are_its_own(python: str, folder: Path, mode: str) -> None:
    out, err, status = same(python, ["-W", "default", "with_own/surroundings.py", "a", "--b"], folder, mode)
    assert status == 0, err
    assert "probes monitor records settings wire" in out


@pytest.mark.parametrize("mode", MODES)
def test_development_mode_has_nothing_to_complain(python: str, folder: Path, mode: str) -> None:
    _, err, _ = same(python, ["-X", "dev", "-W", "error", "generators.py"], folder, mode)
    assert "probes" not in err


@pytest.mark.parametrize("mode", MODES)
def test_a_module_runs_as_a_module(python: str, folder: Path, mode: str) -> None:
    assert same(python, ["-m", "package.sub", "one", "two"], folder, mode)[2] == 3


@pytest.mark.parametrize("mode", MODES)
def test_children_are_without_a_probe(python: str, folder: Path, mode: str) -> None:
    out, _, _ = same(python, ["children.py"], folder, mode)
    assert "True" not in out


@pytest.mark.parametrize("mode", MODES)
def test_code_from_the_command_line_and_from_stdin(python: str, folder: Path, mode: str) -> None:
    code = "import asyncio, sys; print(asyncio.run(asyncio.sleep(0.001, sys.argv)), __name__, globals().keys())"
    same(python, ["-c", code, "x"], folder, mode)


@pytest.mark.parametrize("mode", MODES)
def test_uvloop_does_not_change(folder: Path, mode: str) -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    same(sys.executable, ["uvloops.py"], folder, mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_sitecustomize_of_its_own_is_found(
    python: str, folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folder / "site"
    own.mkdir(exist_ok=True)
    (own / "sitecustomize.py").write_text("import sys\nsys.customized = __file__\n")
    monkeypatch.setenv("PYTHONPATH", str(own))
    code = "import os, sys; print(sys.customized, os.environ['PYTHONPATH'], sys.path, 'sitecustomize' in sys.modules)"
    plain = run(python, ["-c", code], folder, "plain")
    assert run(python, ["-c", code], folder, mode) == plain
    assert "site/sitecustomize.py" in plain[0]


def test_what_is_compared_is_not_empty(folder: Path) -> None:
    """The comparison itself: it notices one character, and forgives only what it says."""
    assert normal("took 0.123 seconds 0xdeadbeef", 77) == "took … seconds 0x…"
    text = 'Traceback\n  File "/lib/asyncio/events.py", line 80, in _run\n    self\n    ^^^^\n  File "/a.py", line 1, in f\n    x\nE'
    assert normal(text, 77) == 'Traceback\n  File "/a.py", line 1, in f\n    x\nE'
    out, err, status = _plain(sys.executable, ("logs.py", "an argument"), folder)
    assert "never retrieved" in err and "destroyed but it is pending" in err and "was never awaited" in err
    assert "handler ['exception', 'handle', 'message']" in out and status == 1
    assert os.environ.get("LOOPTOP_BOOT") is None and time.monotonic() > 0
