"""Judges what `looptop why --json` says of the requests of late_requests.py.

`python tests/e2e/late_requests_judge.py [SECONDS] [VERSION] [asyncio|uvloop]` takes as many as fit into so many seconds;
without arguments (`make lateness`) it takes 1,000 on each of CPython 3.11 to 3.13, with asyncio and with uvloop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from interpreters import VERSIONS, find_python

PROGRAM = Path(__file__).with_name("late_requests.py")
MARKED = {
    text.rpartition("  # ")[2]: number
    for number, text in enumerate(PROGRAM.read_text().splitlines(), 1)
    if "  # " in text and text.rpartition("  # ")[2].isidentifier()
}
LINES = {name: number for name, number in MARKED.items() if not name.endswith("_held")}
"""The line that is to be named, by kind."""
WAITS = {
    "lock": "lock",
    "semaphore": "semaphore",
    "queue": "queue",
    "pool": "pool",
    "executor": "executor",
    "dns": "executor",
    "peer": "socket",
    "cancelled": "event",
}
HELD = ("lock", "semaphore", "pool")
"""Kinds in which another task holds what the request waits for."""
BEHIND = ("blocking", "many", "collection")


def objections(task: dict[str, Any]) -> list[str]:
    """What is wrong with one answer, in sentences."""
    kind = task["name"].partition(":")[0]
    wrong = []
    sums = sum(task[part] for part in ("ran", "queued", "waited", "unknown"))
    of_parts = sum(part["duration"] for part in task["parts"])
    for total in (sums, of_parts):
        if abs(total - task["age"]) > max(0.001, task["age"] / 100):
            wrong.append(f"{kind}: parts are {total}, the age is {task['age']}")
    if not is_named(kind, task):
        wrong.append(f"{kind}: the line is not named: {json.dumps(task['text'], indent=1, ensure_ascii=False)}")
    return wrong


def is_named(kind: str, task: dict[str, Any]) -> bool:
    """Whether the cause is named, with the line that is marked."""
    line = LINES[kind]
    if kind == "cpu":
        longest = max(task["parts"], key=lambda part: part["duration"])
        # The innermost line of the user's is inside of what the marked line calls.
        return longest["kind"] == "ran" and longest["at"] is not None and longest["at"]["function"] in ("spin", "cpu")
    if kind in BEHIND:
        behind = [entry for part in task["parts"] for entry in part["behind"]]
        if not behind:
            return False
        if kind == "many":
            return (
                sum(entry["duration"] for entry in behind if "small" in entry["name"] or "others" in entry["name"])
                > 0.02
            )
        longest = max(behind, key=lambda entry: entry["duration"])
        if kind == "collection":
            return bool(longest["what"] == "gc")
        # uvloop's timers pass no hook: there the part is unknown, and what ran meanwhile stands with it.
        return longest["at"] is not None and longest["at"]["line"] == line
    waits = [part for part in task["parts"] if part["on"] is not None]
    if not waits:
        return False
    part = max(waits, key=lambda part: part["duration"])
    if part["on"]["kind"] != WAITS[kind]:
        return False
    if kind in HELD:
        held = part["held_by"]
        if not held or held[0]["at"] is None or held[0]["at"]["line"] != MARKED[f"{kind}_held"]:
            return False
    site = part["at"] if kind in ("executor", "dns", "peer") else part["woken_by"]["at"]
    return site is not None and site["line"] == line


def unknown_share(tasks: list[dict[str, Any]]) -> float:
    """How much of all ages is unknown."""
    return sum(task["unknown"] for task in tasks) / sum(task["age"] for task in tasks)


def judged(seconds: float, python: str, loop: str, most: int = 10_000, packages: str = "") -> bool:
    """Runs the program, asks for reasons, prints how many were right, and returns whether that is enough."""
    root = Path(__file__).resolve().parents[2]
    theirs = {**os.environ, "PYTHONPATH": packages}
    program = subprocess.Popen([python, str(PROGRAM), loop], stdout=subprocess.PIPE, env=theirs)
    assert program.stdout is not None
    program.stdout.readline()
    looptop = [sys.executable, "-m", "monitor", "why", str(program.pid), "--duration", str(seconds)]
    try:
        out = subprocess.run(
            [*looptop, "--slowest", "10000", "--json"],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=root,
        ).stdout
    finally:
        program.kill()
        program.wait()
    tasks = [task for task in json.loads(out)["tasks"] if task["name"] and ":" in task["name"]]
    tasks = sorted(tasks, key=lambda task: task["started"])[:most]
    counts: Counter[str] = Counter()
    for task in tasks:
        kind = task["name"].partition(":")[0]
        wrong = objections(task)
        counts[f"{kind} {'wrong' if wrong else 'right'}"] += 1
        if wrong and counts[f"{kind} wrong"] == 1:
            print("\n".join(wrong))
    right = sum(count for name, count in counts.items() if name.endswith("right"))
    unknown = unknown_share(tasks)
    planted = Counter(task["name"].partition(":")[0] for task in tasks)
    wrongs = {name: count for name, count in counts.items() if name.endswith("wrong")}
    few, many = min(planted[kind] for kind in LINES), max(planted.values())
    print(
        f"{right} of {len(tasks)} right, {few} to {many} of each kind, unknown {unknown:.2%}", wrongs or "", flush=True
    )
    return bool(few) and right >= 0.99 * len(tasks) and unknown <= 0.05


def uvloop_for(python: str, version: str) -> str:
    """The folder that has uvloop for an interpreter; made on first use."""
    folder = Path(__file__).resolve().parents[2] / "build" / "lateness" / version
    if not folder.exists():
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uvloop"]
        subprocess.run([*command, "--target", str(folder)], check=True)
    return str(folder)


def everywhere() -> bool:
    """1,000 requests on each Python and loop; whether all were good enough."""
    good = True
    for version in VERSIONS:
        python = find_python(version)
        if python is None or version.endswith("t"):
            print(f"{version}: not found")
            continue
        for loop in ("asyncio", "uvloop"):
            print(f"{version} {loop}: ", end="", flush=True)
            packages = uvloop_for(python, version) if loop == "uvloop" else ""
            good = judged(100, python, loop, 1000, packages) and good
    return good


def main() -> None:
    """Reads the command line."""
    if len(sys.argv) == 1:
        sys.exit(0 if everywhere() else 1)
    version = sys.argv[2] if len(sys.argv) > 2 else "{}.{}".format(*sys.version_info)
    loop = sys.argv[3] if len(sys.argv) > 3 else "asyncio"
    python = find_python(version)
    if python is None:
        sys.exit(f"{version}: not found")
    packages = uvloop_for(python, version) if loop == "uvloop" else ""
    sys.exit(0 if judged(float(sys.argv[1]), python, loop, packages=packages) else 1)


if __name__ == "__main__":
    main()
