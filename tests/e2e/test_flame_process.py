"""Flame graphs of a real program: live, from a recording, compared, and as a page in a real browser."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until
from watched import Program, wait_for_socket

from monitor.recording.reader import Recording

PROGRAM = """
    import asyncio, json, os, pathlib, sys, time

    def burn(seconds):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass

    def parse():
        burn(0.004)

    def render():
        burn(0.004)

    spent = {"parse": 0.0, "render": 0.0}

    async def handle():
        told = time.perf_counter()
        while True:
            began = time.perf_counter()
            # By what they have really taken: on a busy machine each call takes longer, and both about as much.
            if spent["parse"] * int(sys.argv[2]) <= spent["render"] * int(sys.argv[1]):
                parse()
                ended = time.perf_counter()
                spent["parse"] += ended - began
            else:
                render()
                ended = time.perf_counter()
                spent["render"] += ended - began
            if ended > told + 0.1:
                told = ended
                pathlib.Path("spent.new").write_text(json.dumps(spent))
                os.replace("spent.new", "spent.json")
            await asyncio.sleep(0.001)

    async def reader():
        await asyncio.Event().wait()

    def in_a_thread():
        time.sleep(0.2)

    async def asking():
        while True:
            await asyncio.to_thread(in_a_thread)

    async def main():
        job = asyncio.create_task(asking())
        task = asyncio.create_task(handle(), name="[/b]<script>")
        readers = [asyncio.create_task(reader()) for _ in range(5)]
        print("ready", flush=True)
        await task

    asyncio.run(main())
"""


def looptop(*args, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, args)],
        capture_output=True,
        timeout=90,
        cwd=Path(__file__).parents[2],
    )
    assert status is None or done.returncode == status, done.stderr.decode()
    return done.stdout


class Spent:
    """What the program itself measures: on a busy machine the times are not what it planted."""

    def __init__(self, folder):
        self.path = folder / "spent.json"
        self.before = wait_until(self.read, "the program's own figures")

    def read(self):
        try:
            return json.loads(self.path.read_text())
        except FileNotFoundError:
            return None

    def share(self, function):
        """Of the time since this was made."""
        spent = {name: seconds - self.before[name] for name, seconds in self.read().items()}
        return spent[function] / sum(spent.values())


def share(profile, function):
    inside = sum(s["seconds"] for s in profile["stacks"] if any(f["function"] == function for f in s["frames"]))
    return inside / profile["seconds"]


def sampled_as_spent(folder, target):
    """The profile in which a function has the share that the program measured. What it measures also covers the time in
    which the command starts and ends: on a busy machine the first may be off."""

    def near():
        spent = Spent(folder)
        live = json.loads(looptop("flame", target, "--duration", "3", "--json"))
        right = live["samples"] > 50 and share(live, "render") == pytest.approx(spent.share("render"), abs=0.1)
        return live if right else None

    return wait_until(near, "the share of render", 120)


def recorded(target, path, mainly):
    """Records until a profile has so many samples that its shares are near those that are planted: 3 to 1."""

    def near():
        path.unlink(missing_ok=True)
        looptop("record", target, "--flame", "--duration", "3", "-o", path)
        profile = json.loads(looptop("flame", path, "--json"))
        shares = {function: share(profile, function) for function in ("parse", "render")}
        of_both = shares[mainly] / (sum(shares.values()) or 1.0)  # not of what the loop takes itself
        return profile["samples"] > 50 and of_both == pytest.approx(0.75, abs=0.09)

    wait_until(near, f"a profile of mainly {mainly}", 120)


def waits_of_a_group(target):
    """The waits of one group, at which a busy machine may not look within a second: then the command fails."""

    def of_readers():
        return looptop("flame", target, "--duration", "1", "--wait", "--group", "reader", status=None).decode()

    text = wait_until(of_readers, "a look at what tasks wait for", 120)
    assert re.search(r"100.0 % reader\n.*reader  program.py:\d+\n.*Event.wait  locks.py", text), text


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two recordings of the same program, in the second of which `render` takes more: (folder, before, after)."""
    folder = tmp_path_factory.mktemp("flames")
    patch = pytest.MonkeyPatch()
    patch.setenv("LOOPTOP_DIR", str(folder / "run"))
    for name, times in (("before", ("3", "1")), ("after", ("1", "3"))):
        with Program(PROGRAM, *times, folder=folder) as program:
            program.expect("ready")
            wait_for_socket(program.socket_path, program.process).close()
            target = f"unix:{program.socket_path}"
            recorded(target, folder / f"{name}.looptop", {"before": "parse", "after": "render"}[name])
            if name == "after":
                live = sampled_as_spent(folder, target)
                assert live["kind"] == "on_loop"
                assert {stack["group"] for stack in live["stacks"]} <= {"handle", "asking", "(callbacks)", "main"}
                waits_of_a_group(target)
    patch.undo()
    return folder, folder / "before.looptop", folder / "after.looptop"


def test_a_recording_has_samples(recordings):
    _, before, after = recordings
    profile = json.loads(looptop("flame", before, "--json"))
    assert share(profile, "parse") > 0.5
    stack = max(profile["stacks"], key=lambda stack: stack["seconds"])
    assert [frame["function"] for frame in stack["frames"]][:2] == ["handle", "parse"]
    with Recording(before) as recording:
        assert 1.0 < profile["seconds"] + profile["idle"] < recording.duration + 1.0
    waiting = json.loads(looptop("flame", after, "--wait", "--json"))
    assert waiting["kind"] == "waiting"
    assert waiting["samples"] is None
    assert share(waiting, "Event.wait") > 0.55
    assert b"make_first_step" not in looptop(
        "groups", before, "--json"
    )  # the sampler's own task is none of the program's


def test_formats_of_other_tools(recordings):
    folder, before, _ = recordings
    lines = looptop("flame", before, "--to", "collapsed").decode().splitlines()
    assert any(re.fullmatch(r"handle;handle \(.*program.py:\d+\);parse .*burn .* \d+", line) for line in lines)
    scope = json.loads(looptop("flame", before, "--to", "speedscope"))
    profile = scope["profiles"][0]
    assert sum(profile["weights"]) == pytest.approx(profile["endValue"])
    assert max(max(sample) for sample in profile["samples"]) < len(scope["shared"]["frames"])
    looptop("flame", before, "--to", "pprof", "-o", folder / "p.pb.gz")
    raw = gzip.decompress((folder / "p.pb.gz").read_bytes())
    assert b"nanoseconds" in raw and b"handle" in raw
    if shutil.which("go") is not None:
        shown = subprocess.run(
            ["go", "tool", "pprof", "-top", folder / "p.pb.gz"], capture_output=True, text=True, timeout=60
        )
        assert "burn" in shown.stdout, shown.stderr


def test_a_difference_names_what_grew(recordings):
    folder, before, after = recordings
    (folder / "before.json").write_bytes(looptop("flame", before, "--json"))
    found = json.loads(looptop("flame", "--diff", folder / "before.json", after, "--json"))
    total = {f["site"]["function"]: f["total"] for f in found["functions"]}
    assert total["render"]["after"] - total["render"]["before"] > 0.3
    assert total["parse"]["after"] - total["parse"]["before"] < -0.3
    text = looptop("flame", "--diff", before, after).decode()
    assert re.search(r"\+\s*\d\d\.\d .*render", text), text
    assert re.search(r"−\d\d\.\d .*parse", text), text
    conditions = [
        part
        for one in ("frame:render>+50%", "frame:parse>+50%", "frame:program.py:render<1%")
        for part in ("--fail-if", one)
    ]
    compared = json.loads(looptop("compare", before, after, "--json", *conditions, status=1))
    assert compared["failed"] == ["frame:render>+50%"]
    assert "render" in {frame["site"]["function"] for frame in compared["frames"] if frame["total"]["b"] > 0.3}
    looptop("compare", before, after, "--fail-if", "frame:render>?", status=2)


def test_stacks_stand_under_what_is_asked_for(recordings):
    _, before, after = recordings
    text = looptop("flame", before, "--by", "task").decode()
    assert re.search(r"\d % #\d+ \[/b\]<script>\n", text), text
    text = looptop("flame", before, "--by", "site").decode()
    assert re.search(r"\d % main program.py:\d+\n.* handle  program.py", text), text
    text = looptop("flame", before, "--by", "all").decode()
    assert re.search(r"100.0 % all tasks\n.* handle  program.py", text), text
    (one, *_) = json.loads(looptop("flame", before, "--by", "task", "--json"))["stacks"]
    assert (one["group"], one["label"], one["name"]) == ("handle", None, "[/b]<script>")
    assert one["site"]["function"] == "main"
    waiting = json.loads(looptop("flame", after, "--wait", "--by", "task", "--group", "reader", "--json"))
    assert len({stack["task"] for stack in waiting["stacks"]} - {None}) == 5  # told apart, in a recording too
    assert {stack["name"] for stack in waiting["stacks"]} == {f"Task-{number}" for number in range(4, 9)}
    jobs = json.loads(looptop("flame", after, "--jobs", "--json"))
    assert jobs["kind"] == "jobs"
    assert {tuple(frame["function"] for frame in stack["frames"])[:1] for stack in jobs["stacks"]} == {("in_a_thread",)}
    assert {stack["group"] for stack in jobs["stacks"]} <= {"asking", "(jobs)"}


def test_the_page_works_in_a_browser(recordings):
    folder, before, after = recordings
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine: the page was not opened")
    looptop("flame", "--diff", before, after, "--to", "html", "-o", folder / "diff.html")
    looptop("flame", before, "--to", "html", "-o", folder / "page.html")
    page = (folder / "page.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    clicked = page.replace(
        "draw();\n</script>",
        "draw();\n"
        "const pick = name => [...document.querySelectorAll('.frame')].find(b => b.textContent === name);\n"
        "const before = pick('parse').offsetWidth; pick('parse').click();\n"
        "const after = pick('parse').offsetWidth;\n"
        "search.value = 'render'; draw(); const hits = found.textContent;\n"
        "document.title = `${before < after} ${pick('parse') !== undefined} ${hits}`;\n</script>",
    )
    assert clicked != page
    (folder / "clicked.html").write_text(clicked)
    for name, expected in (("clicked.html", "<title>true true 0 frames</title>"), ("diff.html", "+ render")):
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{folder}/{name}"],
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert expected in done.stdout, done.stdout[-2000:] + done.stderr[-500:]


SLOW = """
    import asyncio, time

    def crunch():
        time.sleep(0.15)

    async def main():
        print("ready", flush=True)
        while True:
            crunch()
            await asyncio.sleep(0.01)

    asyncio.run(main())
"""


def test_without_samples_slow_callbacks_make_a_graph(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPTOP_DIR", str(tmp_path / "run"))
    with Program(SLOW, folder=tmp_path, env={"LOOPTOP_PURE": "1"}) as program:
        program.expect("ready")
        wait_for_socket(program.socket_path, program.process).close()
        found = json.loads(looptop("flame", f"unix:{program.socket_path}", "--duration", "3", "--json"))
        assert found["kind"] == "slow_callbacks"
        seconds = {tuple(frame["function"] for frame in one["frames"]): one["seconds"] for one in found["stacks"]}
        # On a crowded machine the loop may also stand still between two calls.
        assert set(seconds) - {("main",)} == {("main", "crunch")}, seconds
        assert seconds["main", "crunch"] > 0.8 * sum(seconds.values()), seconds
