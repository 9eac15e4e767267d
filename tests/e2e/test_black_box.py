"""The black box outlives its program, however that ends, and every command reads it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import CROWDED, wait_until

from monitor.errors import LooptopError
from monitor.flame.load import has_samples
from monitor.protocol.frames import Tick
from monitor.recording.reader import Recording, store_at
from monitor.recording.replay_frames import walk

BOXED = Path(__file__).parent / "boxed.py"
SERVED = Path(__file__).parent / "served.py"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "run"


def start(folder, how="run", **environ):
    environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), **environ}
    return subprocess.Popen(
        [sys.executable, "-m", "probes", str(BOXED), how],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_looptop(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        env={**os.environ, "LOOPTOP_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def looptop(folder, *arguments):
    done = run_looptop(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def boxes(folder):
    return sorted(folder.glob("*.box"))


def grown(folder, least, number=1):
    """Waits until the boxes of all programs hold so many bytes, their tasks among them."""

    def found():
        large = [box for box in boxes(folder) if box.stat().st_blocks * 512 > least]
        whole = [box for box in large if "job-3" in run_looptop(folder, "tasks", str(box)).stdout]
        return whole if len(whole) == number else None

    return wait_until(found, f"{number} boxes of {least} bytes")


def test_a_killed_program_is_found_and_read(folder):
    program = start(folder)
    assert program.stdout.readline() == "ready\n"
    (box,) = grown(folder, 8000)
    wait_until(lambda: (known := store_at(box).past.of(1, 1.0)) and known.rows >= 3, "three rows of the history")
    wait_until(lambda: store_at(box).sync_scan.locks, "what tasks wait for")
    wait_until(lambda: [group for group in store_at(box).label_groups.values() if group.name == "job"], "groups")
    wait_until(lambda: store_at(box).slow.lines and store_at(box).ended, "what blocked, and what failed")
    wait_until(lambda: asker(store_at(box).threads.rows), "two looks at the thread that has a job")
    assert box.stat().st_mode & 0o777 == 0o600
    assert json.loads(looptop(folder, "postmortem", "--json")) == {"boxes": []}  # it lives
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=60)
    (listed,) = json.loads(looptop(folder, "postmortem", "--json"))["boxes"]
    assert (listed["pid"], listed["name"], listed["file"]) == (program.pid, "boxed", str(box))
    last = json.loads(looptop(folder, "postmortem", "@boxed", "--json"))
    tasks = {task["name"]: task for task in last["tasks"]}
    assert set(tasks) > {"waits", *(f"job-{number}" for number in range(10))}
    assert tasks["waits"]["waiting_on"]["kind"] == "lock"
    assert tasks["job-3"]["steps"] > 0 and not tasks["job-3"]["born_before_attach"]
    lines = [slow["line"]["function"] for slow in last["slow_callbacks"] if slow["line"] is not None]
    assert "main" in lines, last["slow_callbacks"]
    assert last["failures"][0]["exception"]["message"] == "as planned"
    assert last["ended"]["how"].startswith("ended without a word")
    assert last["ended"]["status"] is None and last["blocked"] == []
    assert {(rows["loop"], rows["step"]) for rows in last["history"]} >= {(None, 1.0), (1, 1.0)}
    (loop,) = (rows for rows in last["history"] if (rows["loop"], rows["step"]) == (1, 1.0))
    assert max(loop["columns"]["lag"]) > 0.04 and any(loop["columns"]["utilization"])
    assert str(program.pid) in looptop(folder, "postmortem")
    threads = json.loads(looptop(folder, "threads", str(box), "--json"))
    assert threads == last["threads"]
    (napping,) = (thread for thread in threads["threads"] if thread["job"])
    assert (napping["job"]["function"], napping["job"]["task"]["name"]) == ("sleep", "asker")
    assert (napping["state"], napping["stack"][-1]["function"]) == ("sleeping", "_WorkItem.run")
    assert [thread["native"] for thread in threads["threads"] if thread["loop"]] == [program.pid]
    for target in ("@boxed", str(program.pid)):
        done = run_looptop(folder, "tasks", target)
        assert done.returncode == 3 and f"looptop postmortem {target}" in done.stderr
        assert f"looptop tasks {box}" in done.stderr, "the command that answers"
    every_command_reads(folder, box)


def asker(rows):
    return [row for row in rows if row.cpu is not None and row.facts.job and row.facts.job.task]


def every_command_reads(folder, box):
    """Every command that takes a recording takes a box."""
    assert "job-3" in looptop(folder, "replay", str(box))
    assert "as planned" in looptop(folder, "watch", str(box), "--past")
    assert "job-3" in looptop(folder, "tasks", str(box))
    assert {group["group"] for group in json.loads(looptop(folder, "groups", str(box), "--json"))["groups"]} >= {"job"}
    assert "main" in looptop(folder, "flame", str(box))
    assert "worse" not in looptop(folder, "compare", str(box), str(box))
    kinds = {one["kind"] for one in json.loads(run_looptop(folder, "findings", str(box), "--json").stdout)["findings"]}
    assert kinds <= CROWDED
    by_site = json.loads(looptop(folder, "groups", str(box), "--by", "site", "--json"))["groups"]
    assert [
        group
        for group in by_site
        if group["coro"] is None and group["live"] == 10 and group["site"]["function"].startswith("main")
    ]
    last = json.loads(looptop(folder, "why", str(box), "--group", "job", "--json"))["tasks"]
    waits = [part for task in last for part in task["parts"] if part["kind"] == "waited" and part["at"] is not None]
    assert {part["at"]["function"] for part in waits} == {"job"}
    looptop(folder, "trace", str(box), "-o", str(folder.parent / "trace"))
    assert (folder.parent / "trace").stat().st_size > 1000
    for kind in ("ndjson", "csv", "perfetto", "parquet"):
        output = folder.parent / kind
        looptop(folder, "export", str(box), "--to", kind, "-o", str(output))
        assert output.stat().st_size > 100


def test_a_clean_end_removes_the_box_unless_it_is_to_be_kept(folder):
    relative = os.path.relpath(folder)  # the program changes its working directory
    programs = [start(folder, "told", LOOPTOP_BOX=relative), start(folder, "told", LOOPTOP_KEEP_BOX="1")]
    for program in programs:
        program.stdout.readline()
    wait_until(lambda: len(boxes(folder)) == 2, "two boxes")
    for program in programs:
        program.communicate("end\n", timeout=120)
    assert [program.returncode for program in programs] == [0, 0]
    (kept,) = boxes(folder)
    assert f"-{programs[1].pid}-" in kept.name
    (listed,) = json.loads(looptop(folder, "postmortem", "--json"))["boxes"]
    assert listed["ended"]["how"] == "exited"


def test_uvicorn_ends_in_order_by_the_signal_that_it_raises_on_itself(folder):
    """But not if its shutdown failed."""
    ways = [("uvloop", "complete", "no"), ("asyncio", "complete", "yes"), ("asyncio", "failed", "no")]
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", "probes", str(SERVED), *way],
            env={**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), "LOOPTOP_KEEP_BOX": keep},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for *way, keep in ways
    ]

    def serves(box):
        with suppress(LooptopError):  # it may hold nothing yet
            return any(task.coro == "Server.serve" for task in store_at(box).tasks.values())
        return False

    wait_until(lambda: sum(map(serves, boxes(folder))) == 3, "three servers that run")
    for program in programs:
        program.send_signal(signal.SIGTERM)
    for program in programs:
        assert (program.communicate(timeout=60)[0], program.returncode) == ("", -signal.SIGTERM)
    listed = {box["pid"]: box["ended"]["how"] for box in json.loads(looptop(folder, "postmortem", "--json"))["boxes"]}
    assert set(listed) == {program.pid for program in programs[1:]}
    assert listed[programs[1].pid] == "ended in order (SIGTERM)"
    assert listed[programs[2].pid].startswith("ended without a word")


BAD_ENDS = {
    "_exit": (3, "ended without a word"),
    "abort": (-signal.SIGABRT, "ended without a word"),
    "fault": (-signal.SIGSEGV, "ended without a word"),
    "raise": (1, "unhandled RuntimeError: the end"),
    "memory": (1, "unhandled MemoryError"),
    "loops": (4, "ended without a word"),
}


def test_a_bad_end_leaves_the_box_and_is_what_it_would_be_without(folder):
    programs = {how: start(folder, how) for how in BAD_ENDS}
    for how, (status, said) in BAD_ENDS.items():
        program = programs[how]
        out, err = program.communicate(timeout=120)
        assert (program.returncode, err.count("looptop:")) == (status, 0), err
        assert out == ("ready\n500 loops\ndone\n" if how == "loops" else "ready\n")
        assert ("Traceback" in err) == (how in ("raise", "memory")), err
        last = json.loads(looptop(folder, "postmortem", str(program.pid), "--json"))
        assert "job-3" in {task["name"] for task in last["tasks"]}
        assert last["ended"]["how"].startswith(said)
        assert how != "loops" or len(last["loops"]) > 100
    # All of one name: the five newest are kept when the next program starts, and @NAME is the last one.
    listed = json.loads(looptop(folder, "postmortem", "--json"))["boxes"]
    assert {box["pid"] for box in listed} == {program.pid for program in programs.values()}
    assert {box["name"] for box in listed} == {"boxed"}
    newest = json.loads(looptop(folder, "postmortem", "@boxed", "--json"))
    assert newest["session"]["pid"] == listed[0]["pid"]
    assert str(programs["_exit"].pid) in looptop(folder, "ps")


def test_a_parent_that_sees_the_end_notes_it(folder, monkeypatch):
    from monitor.attach.launch import Launch, Settings
    from monitor.attach.program import PtyProgram

    monkeypatch.setenv("LOOPTOP_DIR", str(folder))
    hows = {"fault": (-signal.SIGSEGV, "killed by SIGSEGV"), "_exit": (3, "exited with status 3")}
    programs = {how: PtyProgram(Launch((sys.executable, str(BOXED), how), Settings())) for how in hows}
    for how, (status, said) in hows.items():
        assert programs[how].wait(120)
        programs[how].close()
        assert programs[how].box is not None
        ended = json.loads(looptop(folder, "postmortem", str(programs[how].pid), "--json"))["ended"]
        assert (ended["status"], ended["how"]) == (status, said)


@pytest.fixture
def cgroup(tmp_path):
    """A cgroup of 150 MB, of either version."""
    for root, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        made = Path("/sys/fs/cgroup", root, f"looptop-test-{os.getpid()}")
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / limit).write_text(str(150 << 20))
            yield made
            return
        except OSError:
            continue
        finally:
            wait_until(lambda made=made: not (made / "cgroup.procs").read_text(), "the end of what runs in it")
            made.rmdir()
    pytest.skip("no cgroup with a memory limit can be made here (it takes root)")


def test_the_oom_killer_is_named(folder, cgroup):
    enter = f"echo $$ > {cgroup}/cgroup.procs && exec {sys.executable} -m probes {BOXED} grow"
    environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder)}
    program = subprocess.run(["sh", "-c", enter], env=environ, capture_output=True, timeout=120, check=False)
    assert program.returncode == -signal.SIGKILL
    (listed,) = json.loads(looptop(folder, "postmortem", "--json"))["boxes"]
    assert listed["ended"]["how"].endswith("the OOM killer ended 1 process of its cgroup meanwhile")
    assert listed["ended"]["oom_kills"] == 1


def test_the_end_of_a_worker_leads_to_its_box(folder):
    programs = [start(folder), start(folder)]
    for program in programs:
        program.stdout.readline()
    grown(folder, 9000, 2)
    watching = subprocess.Popen(
        [sys.executable, "-m", "monitor", "watch", "@boxed", "--only", "worker", "--json"],
        env={**os.environ, "LOOPTOP_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert [json.loads(watching.stdout.readline())["type"] for _ in programs] == ["worker_started"] * 2
        programs[0].kill()
        ended = json.loads(watching.stdout.readline())
    finally:
        watching.kill()
        watching.communicate()
        for program in programs:
            program.kill()
            program.communicate()
    assert (ended["type"], ended["pid"]) == ("worker_ended", programs[0].pid)
    assert f"-{programs[0].pid}-" in ended["box"]
    assert ended["reason"].startswith(("killed by SIGKILL", "ended without a word"))
    listed = {box["pid"]: box for box in json.loads(looptop(folder, "postmortem", "--json"))["boxes"]}
    assert listed[programs[0].pid]["ended"]["how"] == ended["reason"]
    assert "job-3" in looptop(folder, "postmortem", str(programs[1].pid))


def test_what_blocks_is_in_the_box_of_a_program_killed_for_it(folder):
    program = start(folder, "block", LOOPTOP_BOX_FLAME="50")
    program.stdout.readline()
    assert program.stdout.readline() == "blocking\n"
    (box,) = boxes(folder)
    lines = (Path(__file__).parent / "boxed.py").read_text().splitlines()
    blocking = 1 + next(number for number, line in enumerate(lines) if "time.sleep(60)" in line)
    # It blocks before, too, and a box may not know yet that this is over.
    wait_until(lambda: blocked_line(box) == blocking, "the blocking line")

    def stacks():
        profile = json.loads(looptop(folder, "flame", str(box), "--json")) if has_samples(box) else {"stacks": []}
        return [[(frame["function"], frame["line"]) for frame in stack["frames"]] for stack in profile["stacks"]]

    wait_until(lambda: [("main", blocking)] in stacks(), "samples of the blocking line")
    program.kill()
    program.communicate(timeout=60)
    (blocked,) = json.loads(looptop(folder, "postmortem", str(program.pid), "--json"))["blocked"]
    assert (blocked["line"]["function"], blocked["line"]["line"]) == ("main", blocking)
    assert blocked["duration"] > 0.1
    done = run_looptop(folder, "postmortem", str(program.pid))
    assert f"in boxed.py:{blocking} main" in done.stderr
    profile = json.loads(looptop(folder, "flame", str(box), "--json"))
    assert profile["kind"] == "on_loop" and profile["samples"]
    looptop(folder, "trace", str(box), "-o", str(folder / "trace"))
    assert f"boxed.py:{blocking} main".encode() in (folder / "trace").read_bytes(), "the step that did not end"
    assert [("main", blocking)] in stacks()  # not always the longest: the program blocks before, too


def blocked_line(box):
    for loop in store_at(box).loops.values():
        if loop.block is not None and loop.block.stack:
            return loop.block.stack[-1].line
    return None


def test_what_blocks_is_in_the_box_as_soon_as_the_watchdog_has_seen_it(folder):
    program = start(folder, "blocks")
    out, err = program.communicate(timeout=200)
    assert out.split() == ["ready", "2"], err
    with Recording(boxes(folder)[0]) as recording:
        state, rest = walk(recording)
        ticks = [frame for frame in (*state, *rest) if isinstance(frame, Tick)]
    assert sum(bool(tick.blocked) for tick in ticks) >= 2


def test_a_program_that_execs_forks_or_closes_everything_is_unharmed(folder):
    replaced, closing, forking = start(folder, "exec"), start(folder, "closes"), start(folder, "fork")

    def listed():
        return {box["pid"] for box in json.loads(looptop(folder, "postmortem", "--json"))["boxes"]}

    found = wait_until(lambda: replaced.pid in (pids := listed()) and pids, "the box of what it was")
    assert forking.pid not in found
    replaced.kill()
    replaced.communicate(timeout=60)
    out, err = closing.communicate(timeout=120)
    assert out == "ready\nstill here\n"
    assert closing.returncode == 0 and err.count("looptop:") <= 1
    assert [forking.stdout.readline() for _ in range(3)] == ["ready\n", "child ends\n", "parent goes on\n"]
    assert forking.pid not in listed()
    forking.kill()
    assert forking.communicate(timeout=60)[1] == ""
    assert "job-3" in looptop(folder, "postmortem", str(forking.pid))


@pytest.mark.parametrize("setting", ["off", "/nonexistent/folder", "/proc", "other"])
def test_without_a_place_there_is_one_line_at_most(folder, tmp_path, setting):
    if setting == "other":
        setting = str(tmp_path / "other")
        Path(setting).mkdir(mode=0o777)
        try:
            os.chown(setting, 12345, 12345)
        except PermissionError:
            pytest.skip("only root can make a folder of another user")
    program = start(folder, "end", LOOPTOP_BOX=setting)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (0, "ready\n")
    assert err.count("looptop:") == (setting != "off")
    assert boxes(folder) == []


@pytest.mark.parametrize("options", ["size=4k", "ro"])
def test_a_full_or_read_only_file_system_costs_one_line(folder, tmp_path, options):
    place = tmp_path / "small"
    place.mkdir()
    mount = f"mount -t tmpfs -o {options} none {place} && exec {sys.executable} -m probes {BOXED} end"
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*own, "mount", "-t", "tmpfs", "none", str(place)], check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted in a namespace of our own here")
    done = subprocess.run(
        [*own, "sh", "-c", mount],
        env={**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), "LOOPTOP_BOX": f"{place},1MiB"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ready\n")
    assert done.stderr.count("looptop:") == 1 and done.stderr.count("\n") == 1, done.stderr


def test_a_full_file_ends_the_box_only(folder):
    limited = (
        "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); "
        f"os.execv(sys.executable, [sys.executable, '-m', 'probes', {str(BOXED)!r}, 'end'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited],
        env={**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ready\n")
    assert done.stderr.count("looptop:") == 1
    assert boxes(folder) == []


def test_hostile_boxes_are_refused_with_one_line(folder, tmp_path):
    program = start(folder)
    program.stdout.readline()
    (box,) = grown(folder, 9000)
    box.unlink()
    assert grown(folder, 9000) == [box]  # with all tasks, and steps: a file that nobody can find is worth nothing
    assert looptop(folder, "why", str(box), "--group", "job")
    program.kill()
    assert program.communicate(timeout=60)[1] == ""
    whole = box.read_bytes()
    heading = whole.index(b"\n", 14) + 1
    for number, data in enumerate(
        [
            whole[:4000],
            b"looptop-box 1\n" + b"{" * 3000,
            whole[:14] + b'{"session": "x", "segments": 1000000000, "segment": 1}\n',
            whole[:4096] + b"\xff" * 5000,
            whole[:heading] + bytes(4096),
        ]
    ):
        bad = tmp_path / f"bad-{number}"
        bad.write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "postmortem", str(bad), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("\n") <= 2
    (tmp_path / "torn").write_bytes(whole[:-20])
    assert "job-3" in looptop(folder, "tasks", str(tmp_path / "torn"))
