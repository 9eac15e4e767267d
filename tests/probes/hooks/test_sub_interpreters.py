"""Sub-interpreters: asyncio in one is unharmed beside a probe in the main one, and no probe goes into one."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest
from interpreters import find_python, version_of
from test_counting import source
from watched import ROOT, Program, environment

OWN = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    def in_another(code):
        number = interpreters.create()
        failed = getattr(interpreters, "exec", None) or interpreters.run_string
        failed = failed(number, code)
        interpreters.destroy(number)
        return failed
"""
INSIDE = """
import asyncio, sys

async def work(number):
    for _ in range(20):
        await asyncio.sleep(0.001)
    return number

async def main():
    tasks = [asyncio.create_task(work(number), name=f"inside {number}") for number in range(10)]
    assert sum(await asyncio.gather(*tasks)) == 45
    assert type(asyncio.get_running_loop()).create_task.__module__ == "asyncio.base_events"
    assert not hasattr(sys, "_looptop_probe")
    print("inside", flush=True)

asyncio.run(main())
"""
LOOP = """
    async def steady():
        while True:
            await asyncio.sleep(0.01)

    async def main():
        keep = [asyncio.create_task(steady(), name=f"steady {number}") for number in range(3)]
        await told("ready")
        for _ in range(3):
            assert await asyncio.to_thread(in_another, INSIDE) is None
        await told("over")

    run(main())
"""


@pytest.mark.parametrize("version", ["3.13", "3.14", "3.15"])
def test_a_loop_in_a_sub_interpreter_is_unharmed_and_not_shown(version: str, tmp_path: Path) -> None:
    """3.12.1 falls over it without us, too, and on 3.11 there is one running loop a thread for all interpreters."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version}")
    with Program(
        source(LOOP, f"run = asyncio.run\nINSIDE = {INSIDE!r}\n{textwrap.dedent(OWN)}"), folder=tmp_path, python=python
    ) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            program.say()
            for _ in range(3):
                program.expect("inside")
            program.expect("over")
            steps = viewer.named("steady 1")["steps"]
            viewer.until(lambda: viewer.named("steady 1")["steps"] > steps, "steps of the main loop afterwards")
            assert not [task for task in viewer.facts.values() if task["name"].startswith("inside")]
            assert len(viewer.loops) == 1
        program.say()
        assert program.end() == 0, program.stderr
        assert program.stderr == ""


INSTALL = """
    def probed():
        return in_another("import sys, probes; print(probes.install(), hasattr(sys, '_looptop_probe'), flush=True)")

    if __name__ == "__main__":
        import probes
        there = probes.install()
        print(there is not None, flush=True)
        print(probed(), flush=True)
        probes.uninstall()
"""


def test_a_probe_is_not_put_into_a_sub_interpreter(python: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(OWN) + textwrap.dedent(INSTALL), encoding="utf-8")
    environ = environment(False, PYTHONPATH=str(ROOT))
    done = subprocess.run([python, str(script)], capture_output=True, text=True, env=environ, timeout=60)
    assert (done.returncode, done.stdout.split("\n")[:3]) == (0, ["True", "None False", "None"]), done.stderr
    line = "looptop: no probe, the program goes on: a probe belongs into the main interpreter"
    assert done.stderr.splitlines() == [line]
    assert version_of(python) >= (3, 11)


def test_keywords_that_only_newer_pythons_take_reach_asyncios_own(python: str) -> None:
    code = """
        import asyncio
        from probes.hooks import births_in_python, install
        def newer(self, coro, *, name=None, context=None, **more):
            print(more)
            return asyncio.Task(coro, loop=self, name=name)
        async def main():
            hooked = births_in_python.hook_plain_create_task(newer)
            await hooked(asyncio.get_running_loop(), asyncio.sleep(0), eager_start=False)
        install.state.on_loop = lambda loop: None
        asyncio.run(main())
    """
    environ = environment(False, PYTHONPATH=str(ROOT), LOOPTOP_PURE="1")
    done = subprocess.run(
        [python, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environ, timeout=60
    )
    assert (done.stdout, done.stderr) == ("{'eager_start': False}\n", "")


def test_a_free_threaded_build_has_hooks_in_python_and_says_so(python: str) -> None:
    """Such a build is rare, so it is played: what it says of itself is all that is asked of it."""
    code = "import sys; sys._is_gil_enabled = lambda: False; from probes.hooks import install; print(install.HOOKS)"
    environ = environment(False, PYTHONPATH=str(ROOT), LOOPTOP_PURE="")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert done.stdout == "pure Python (free-threaded)\n"
