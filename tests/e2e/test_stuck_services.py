"""Five services that stand still, attached to when it is too late: each finding leads to its cause."""

import json
import os
import subprocess
import sys
import time

import pytest
from interpreters import find_python
from watched import ROOT

VERSIONS = ("3.11", "3.12", "3.13") if os.environ.get("LOOPTOP_LONG") else ("3.13",)
PYTHONS = [python for python in map(find_python, VERSIONS) if python is not None]
SERVICES = {
    "event_never_set": ("waiters_stuck", "warm-up failed: KeyError", "fails"),
    "consumer_died": ("queue_stuck", "nobody gets; consumer failed: ValueError", "fails"),
    "pool_leaked": ("queue_stuck", "did not put back", "takes"),
    "subprocess_unread": ("subprocess_stuck", "whose output nobody reads", "waits"),
    "lock_in_finally": ("lock_stuck", "was cancelled and cleans up", "cleans"),
}
QUICK = "".join(
    f"[findings.{kind}]\nafter = 2\n" for kind in ("waiters_stuck", "queue_stuck", "subprocess_stuck", "lock_stuck")
)
ASLEEP = 3.0
"""Seconds after which all of them stand still."""


def looptop(pid, folder):
    command = [sys.executable, "-m", "monitor", "findings", str(pid), "--json", "--duration", "8"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("python", PYTHONS)
def test_each_leads_to_its_cause(tmp_path, python):
    (tmp_path / "looptop.toml").write_text(QUICK)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    programs = {
        name: subprocess.Popen(
            [python, "-m", f"sample_apps.{name}", "--seconds", "300"], env=environ, stdout=subprocess.DEVNULL
        )
        for name in SERVICES
    }
    try:
        time.sleep(ASLEEP)
        missing = dict(SERVICES)
        for _ in range(6):  # on a busy machine a look may come too late
            looks = {name: looptop(programs[name].pid, tmp_path) for name in missing}
            for name, look in looks.items():
                out, error = look.communicate(timeout=120)
                assert programs[name].poll() is None, name
                if out and leads(name, json.loads(out)["findings"]):
                    del missing[name]
            if not missing:
                break
        assert not missing, out + error
    finally:
        for program in programs.values():
            program.terminate()
        for program in programs.values():
            program.wait(60)


def leads(name, findings):
    kind, text, marker = SERVICES[name]
    found = [one for one in findings if one["kind"] == kind and text in one["text"]]
    lines = (ROOT / "sample_apps" / f"{name}.py").read_text().splitlines()
    return any(f"expect: {marker}" in lines[one["site"]["line"] - 1] for one in found)
