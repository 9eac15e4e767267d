"""Programs that listen for viewers elsewhere than in the runtime directory: with TLS, and on a shared Unix socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until
from watched import ROOT, Program

MANY = """
import asyncio, sys

turns, server = 0, sys._looptop_probe.server
turn = server._turn

def counted(ready):
    global turns
    turns += 1
    turn(ready)

server._turn = counted

async def main():
    tasks = [asyncio.create_task(asyncio.sleep(600), name=f"job-{i}") for i in range(1500)]
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(turns, flush=True)

asyncio.run(main())
"""


def looptop(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, **env})


def one_line(done: subprocess.CompletedProcess[str], status: int = 3) -> str:
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.startswith("looptop: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def certificate(folder: Path, name: str, alternative: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make certificates with, so TLS is not tested")
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-addext", f"subjectAltName={alternative}"], check=True, capture_output=True, timeout=60)
    key.chmod(0o600)
    return cert, key


def announced(program: Program) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((program.directory / f"{program.pid}.json").read_text())
    return facts


def test_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost", "DNS:localhost")
    other, _ = certificate(tmp_path, "other", "DNS:localhost")
    settings = {"listen": "127.0.0.1:0", "cert": str(cert), "key": str(key)}
    with Program(MANY, folder=tmp_path, settings=settings) as program:
        program.expect("ready")
        port = announced(program)["listen"].rpartition(":")[2]
        # Somebody who says nothing costs nothing, and is told what to do.
        silent = socket.create_connection(("127.0.0.1", int(port)))
        plain = subprocess.Popen(
            [sys.executable, "-m", "monitor", "tasks", f"localhost:{port}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        done = looptop("tasks", f"localhost:{port}", "--json", "--cafile", cert)
        assert done.stderr == ""
        assert len(json.loads(done.stdout)["tasks"]) == 1501
        done = looptop("watch", f"localhost:{port}", "--json", "--duration", "0.5", LOOPTOP_CAFILE=str(cert))
        assert (done.returncode, done.stderr) == (0, "")
        line = one_line(looptop("tasks", f"localhost:{port}", "--cafile", other))
        assert "the certificate of localhost:" in line
        assert "is not accepted: self-signed certificate" in line
        line = one_line(looptop("tasks", f"127.0.0.1:{port}", "--cafile", cert))
        assert "IP address mismatch" in line
        assert "contains no certificate" in one_line(looptop("tasks", f"localhost:{port}", "--cafile", key), 2)
        assert "No such file" in one_line(looptop("tasks", f"localhost:{port}", "--cafile", tmp_path / "none"), 2)
        wrong = looptop("tasks", f"localhost:{port}", "--cafile", cert, LOOPTOP_TOKEN="x" * 20)
        assert "wrong token" in one_line(wrong)
        through = looptop("tasks", f"localhost:{port}", "--cafile", cert, "--via", sys.executable)
        assert "asks for a token" in one_line(through)
        token = Path(announced(program)["token_file"]).read_text().strip()
        through = looptop("tasks", f"localhost:{port}", "--cafile", cert, "--via", sys.executable, LOOPTOP_TOKEN=token)
        assert "job-1499" in through.stdout, through.stderr
        program.say()
        assert int(program.line()) < 5000, "no busy waiting for the handshake"
        out, err = plain.communicate(timeout=60)
        assert (plain.returncode, out) == (3, "")
        assert err.count("\n") == 1
        assert "TLS is needed here: give --cafile" in err
        silent.settimeout(60)
        assert b"TLS is needed here" in silent.recv(1000)
        silent.close()


def test_a_shared_socket(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "api.sock"
    path.parent.mkdir(mode=0o777)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    settings = {"listen": f"unix:{path}"}
    with Program(MANY, folder=tmp_path, settings=settings) as program:
        program.expect("ready")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert announced(program)["listen"] == f"unix:{path}"
        done = looptop("tasks", f"unix:{path}", "--limit", "1")
        assert "1501 tasks" in done.stdout.replace(",", ""), done.stderr
        if os.geteuid() == 0 and shutil.which("setpriv"):
            path.chmod(0o666)  # as somebody may do who shares the volume: the user is checked, too
            for folder in (path.parent, *path.parents):
                if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
                    folder.chmod(folder.stat().st_mode | 0o055)
            text = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r}); print(s.recv(1000))"
            nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", text]
            said = subprocess.run(nobody, capture_output=True, text=True, timeout=60)
            assert "belongs to another user" in said.stdout, said.stderr
        # A second program leaves it alone and runs.
        with Program(MANY, folder=tmp_path, settings=settings) as second:
            second.expect("ready")
            refused = f"cannot listen on unix:{path}: another program listens there"
            wait_until(lambda: refused in second.stderr, refused)
        program.say()
        assert program.end() == 0
        wait_until(lambda: not path.exists(), "the socket to be removed")
    path.write_text("a file of somebody")
    with Program(MANY, folder=tmp_path, settings=settings) as program:
        program.expect("ready")
        wait_until(lambda: "there is something else" in program.stderr, "the reason")
    assert path.read_text() == "a file of somebody"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--listen", "0.0.0.0:7777"],
            "plain TCP beyond loopback can be read by others on the way: add --cert and --key, or --insecure",
        ),
        (["--listen", "0.0.0.0:7777", "--cert", "x"], "--cert and --key go together"),
        (["--listen", "0.0.0.0:7777", "--cert", "x", "--key", "y"], "x cannot be read"),
        (["--listen", "unix:"], "without a path"),
        (["--listen", "unix:/x", "--cert", "x", "--key", "y"], "--cert and --key are for TCP"),
    ],
)
def test_what_is_refused_before_the_program_runs(options: list[str], line: str) -> None:
    assert line in one_line(looptop("run", "--headless", *options, "nothing.py"), 2)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"listen": "0.0.0.0:0"}, "plain TCP beyond loopback can be read on the way"),
        ({"listen": "127.0.0.1:0", "cert": "cert"}, "cert and key go together"),
        ({"listen": "127.0.0.1:0", "cert": "cert", "key": "open"}, "others may read"),
        ({"listen": "127.0.0.1:0", "cert": "cert", "key": "locked"}, "the key is encrypted"),
        ({"listen": "127.0.0.1:0", "cert": "key", "key": "key"}, "cannot listen on 127.0.0.1:0"),
    ],
)
def test_what_the_probe_refuses_while_the_program_runs_on(settings: dict[str, str], line: str, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost", "DNS:localhost")
    cert.rename(tmp_path / "cert")
    (tmp_path / "open").write_bytes(key.read_bytes())
    (tmp_path / "open").chmod(0o644)
    command = ["openssl", "ec", "-in", key, "-out", tmp_path / "locked", "-aes128", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    key.rename(tmp_path / "key")
    named = {name: value if name == "listen" else str(tmp_path / value) for name, value in settings.items()}
    with Program("print('runs', flush=True); input()", folder=tmp_path, settings=named) as program:
        program.expect("runs")
        wait_until(lambda: line in program.stderr, line)
        assert program.stderr.count("\n") == 0


def test_a_plain_port_with_a_cafile(probe_on_tcp_of_a_program: int, tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path, "localhost", "DNS:localhost")
    done = looptop("tasks", f"localhost:{probe_on_tcp_of_a_program}", "--cafile", cert)
    assert "serves no TLS: leave --cafile out" in one_line(done)


@pytest.fixture
def probe_on_tcp_of_a_program(tmp_path: Path) -> Any:
    with Program(MANY, folder=tmp_path, settings={"listen": "127.0.0.1:0"}) as program:
        program.expect("ready")
        yield int(announced(program)["listen"].rpartition(":")[2])
