"""A C module that was built of other sources than the probe's: not used, with the reason; no tests or benchmarks run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import probes

SCRIPT = """
import asyncio
import probes
from probes.hooks import install
probes.install()

async def main():
    return await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0, n)) for n in range(3)))

print(asyncio.run(main()), install.HOOKS)
"""

ROOT = Path(probes.__file__).resolve().parent.parent

needs_native = pytest.mark.skipif(
    not list(Path(probes.__file__).parent.glob("hooks/_native*.so")), reason="the hooks in C are not built"
)


@needs_native
@pytest.mark.parametrize("edited", [False, True])
def test_a_module_of_other_sources_is_not_used(edited: bool, tmp_path: Path) -> None:
    shutil.copytree(Path(probes.__file__).parent, tmp_path / "probes", ignore=shutil.ignore_patterns("__pycache__"))
    if edited:
        with (tmp_path / "probes" / "hooks" / "native" / "step.c").open("a") as source:
            source.write("/* newer */\n")
    environ = {"PYTHONPATH": str(tmp_path), "LOOPTOP_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"[0, 1, 2] {'pure Python (built of older sources)' if edited else 'C'}\n"


@needs_native
def test_benchmarks_and_tests_refuse_it(tmp_path: Path) -> None:
    """They would measure and test the hooks in Python."""
    for name in ("probes", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "interpreters.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    with (tmp_path / "probes" / "hooks" / "native" / "step.c").open("a") as source:
        source.write("/* newer */\n")
    environ = {"PYTHONPATH": str(tmp_path), "LOOPTOP_DIR": str(tmp_path / "run"), "PATH": os.environ["PATH"]}
    for command, says in (
        (["benchmarks.soak"], "benchmarks: the native file is stale: make env"),
        (["pytest", "-p", "no:cacheprovider", "tests"], "ERROR: the native file is stale: make env"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode != 0, done.stdout, done.stderr.strip()) == (True, "", says)
