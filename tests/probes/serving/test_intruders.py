"""What others on the machine or the network may try against a watched program: none of it costs a viewer its place."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_counting import source
from test_stream import IDLE, proof
from waiting import wait_until
from watched import Program, Viewer, environment, free_port

IMPATIENT = """
    import probes, probes.serving.connection
    probes.serving.connection.UNKNOWN_PEER, probes.serving.connection.IDLE = {unknown}, {idle}
    probes.install()
    run = asyncio.run
"""
NOTHING = "import asyncio; print(asyncio.run(asyncio.sleep(0.01, 'ran')))"


@pytest.fixture
def served(tmp_path: Path) -> Any:
    """A program that also listens on TCP, its port and its token."""
    port = free_port()
    with Program(source(IDLE), folder=tmp_path, env={"LOOPTOP_LISTEN": f"127.0.0.1:{port}"}) as program:
        program.expect("ready")
        token = program.socket_path.with_suffix(".token").read_text().strip()
        yield program, port, token


def stranger(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 60)


def with_token(port: int, token: str) -> Viewer:
    viewer = Viewer(stranger(port))
    viewer.send(proof(token)(viewer.first["nonce"]))
    viewer.until(lambda: len(viewer.frames) > 1, "an answer to the proof")
    return viewer


def is_over(sock: socket.socket) -> bool:
    """Whether the other side has closed, after whatever it said before."""
    sock.setblocking(False)
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def run_once(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**environment(), **variables}
    ran = subprocess.run(
        [sys.executable, "-c", NOTHING], env=environ, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (ran.returncode, ran.stdout) == (0, "ran\n"), ran.stderr
    return ran


def test_40_clients_without_a_proof_lock_nobody_out(served: Any) -> None:
    program, port, token = served
    strangers = [stranger(port) for _ in range(40)]
    with with_token(port, token) as remote, program.viewer() as local:
        assert remote.frames[1]["type"] == "hello"
        assert local.first["type"] == "hello"
        local.until(lambda: local.probe.get("viewers") == 2, "only the two are viewers")
        left = [sock for sock in strangers if not is_over(sock)]
        assert len(left) <= 8, "the rest had to give way"
        strangers += [stranger(port) for _ in range(40)]
        remote.watch(rate=20)
        remote.ticks(3)
        local.ticks(3)
    for sock in strangers:
        sock.close()


def test_a_host_with_many_connections_gives_way_to_another_one(tmp_path: Path) -> None:
    port = free_port()
    env = {"LOOPTOP_LISTEN": f"0.0.0.0:{port}", "LOOPTOP_INSECURE": "1"}
    setup = IMPATIENT.format(unknown=120, idle=120)  # none of them goes because of its age
    with Program(source(IDLE, setup), folder=tmp_path, boot=False, env=env) as program:
        program.expect("ready")
        quiet = socket.create_connection(("127.0.0.2", port), 60, source_address=("127.0.0.2", 0))
        assert json.loads(quiet.makefile().readline())["type"] == "challenge"
        strangers = [stranger(port) for _ in range(40)]
        wait_until(lambda: sum(not is_over(sock) for sock in strangers) == 7, "all but seven to give way")
        assert not is_over(quiet)
        for sock in [quiet, *strangers]:
            sock.close()


def test_who_proves_nothing_is_dropped_soon(tmp_path: Path) -> None:
    port = free_port()
    setup = IMPATIENT.format(unknown=0.3, idle=60)
    env = {"LOOPTOP_LISTEN": f"127.0.0.1:{port}"}
    with Program(source(IDLE, setup), folder=tmp_path, boot=False, env=env) as program:
        program.expect("ready")
        silent, talking = stranger(port), stranger(port)
        wait_until(lambda: is_over(silent), "the end of who says nothing")
        talking.sendall(b"x" * 2000)
        wait_until(lambda: is_over(talking), "the end of who says too much")


def test_a_connection_that_never_watches_ends(tmp_path: Path) -> None:
    setup = IMPATIENT.format(unknown=5, idle=3.0)
    with Program(source(IDLE, setup), folder=tmp_path, boot=False) as program:
        program.expect("ready")
        with program.viewer(rate=20) as watching:
            idle = [program.connect() for _ in range(30)]
            asking = program.connect()

            def all_over() -> bool:
                asking.ask("ping")
                return not any(viewer.pump(0.0) for viewer in idle)

            watching.until(all_over, "the end of those who say nothing")
            assert all("was idle for too long" in viewer.errors[0]["message"] for viewer in idle)
            assert asking.ask("ping")[0]["ok"]
            watching.ticks(2)


def test_a_directory_that_others_may_read_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for path in (shared, tmp_path / "link"):
        if path != shared:
            path.symlink_to(shared)
        ran = run_once(tmp_path, LOOPTOP_DIR=str(path))
        (line,) = ran.stderr.splitlines()
        assert str(path) in line and "LOOPTOP_DIR" in line
        assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
        assert list(shared.iterdir()) == []
    assert "open to others" in run_once(tmp_path, LOOPTOP_DIR=str(shared)).stderr
    assert run_once(tmp_path, LOOPTOP_DIR=str(tmp_path / "new")).stderr == ""
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("token", "mode", "said"),
    [
        ("t" * 32, 0o644, "others may read"),
        ("t" * 32, 0o640, "others may read"),
        ("t" * 15, 0o600, "15 characters"),
        ("", 0o600, "0 characters"),
        (None, 0o600, "not a regular file"),
        ("t" * 16, 0o600, ""),
    ],
)
def test_tokens_that_others_know_or_guess_are_refused(tmp_path: Path, token: str | None, mode: int, said: str) -> None:
    file = tmp_path / "token"
    if token is None:
        os.mkfifo(file, mode)
    else:
        file.write_text(token + "\n")
    file.chmod(mode)
    ran = run_once(tmp_path, LOOPTOP_LISTEN=f"127.0.0.1:{free_port()}", LOOPTOP_TOKEN_FILE=str(file))
    if said:
        (line,) = ran.stderr.splitlines()
        assert line.startswith("looptop: cannot listen on ") and said in line
    else:
        assert ran.stderr == ""


def test_a_short_token_in_the_environment_is_refused(tmp_path: Path) -> None:
    ran = run_once(tmp_path, LOOPTOP_LISTEN=f"127.0.0.1:{free_port()}", LOOPTOP_TOKEN="guess me")
    assert "the token has 8 characters; at least 16 are needed" in ran.stderr


def test_without_control_a_viewer_only_looks(tmp_path: Path) -> None:
    with Program(source(IDLE), folder=tmp_path, settings={"control": False}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            assert not {"cancel", "detach", "memory", "locals"} & set(viewer.first["capabilities"])
            for op in ("memory_start", "detach"):
                (refused,) = viewer.ask(op)
                assert not refused["ok"] and "control is off" in refused["error"]
            (baseline,) = viewer.ask("memory_baseline")
            assert not baseline["ok"]
            viewer.ticks(2)
        with program.viewer() as another:
            another.ticks(1)
