"""What the probe must leave as it is for the whole program: immortal objects, and types of the standard library."""

from __future__ import annotations

import subprocess

import pytest
from interpreters import find_python
from watched import ROOT, environment

PROGRAM = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
immortal = None, True, False, 0, ()
counts = [sys.getrefcount(each) for each in immortal]
changed = set()
import probes
from probes.base import protocol
from probes.hooks import backend

async def fails():
    raise ValueError

async def work(number):
    changed.update(each for each, count in zip(immortal, counts) if sys.getrefcount(each) != count)
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(id, number)
    return None if number % 2 else True

async def main():
    tasks = [asyncio.create_task(work(number)) for number in range(500)]
    tasks[0].cancel()
    await asyncio.gather(*tasks, fails(), return_exceptions=True)
    if sys.version_info >= (3, 12):
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[asyncio.Task(work(number), loop=loop, eager_start=True) for number in range(500)])

with probes.watching():
    asyncio.run(main())
print(json.dumps([backend.why_pure, sorted(map(repr, changed)), type(protocol._encode.__self__) is json.JSONEncoder]))
"""


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_immortal_objects_and_encoders_stay_as_they_are(version, runtime_dir):
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version}")
    done = subprocess.run(
        [python, "-c", PROGRAM, str(ROOT)], env=environment(boot=False), capture_output=True, text=True, timeout=60
    )
    assert done.stdout == '["", [], false]\n', done.stderr
