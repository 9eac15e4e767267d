"""A real sshd on loopback, with keys, configuration and port of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

from waiting import wait_until

SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
MISSING = "no sshd on this machine (apt-get install openssh-server), so nothing is tested over a real one"


class Sshd:
    """Runs until `close`. `command` is the `ssh HOST` for it; `ssh` is a folder with an `ssh` that knows its keys."""

    def __init__(self, folder: Path) -> None:
        assert SSHD is not None
        folder.mkdir(mode=0o700)
        self.folder = folder
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
            )
        shutil.copy(folder / "user.pub", folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitUserEnvironment no\n"
            f"AcceptEnv LOOPTOP_DIR\n"
        )
        known = folder / "known"
        known.write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        client = folder / "ssh_config"
        client.write_text(
            f"UserKnownHostsFile {known}\nIdentityFile {folder}/user\nIdentitiesOnly yes\nBatchMode yes\n"
            f"StrictHostKeyChecking yes\nSendEnv LOOPTOP_DIR\nUser {getpass.getuser()}\n"
        )
        self.binaries = folder / "bin"
        self.binaries.mkdir()
        (self.binaries / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {client} "$@"\n')
        (self.binaries / "ssh").chmod(0o755)
        self.command = f"{self.binaries}/ssh -p {self.port} 127.0.0.1"
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True)
        wait_until(self._listens, f"sshd to listen on port {self.port}")

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            assert self.process.stderr is not None
            raise AssertionError(self.process.stderr.read())
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)
        assert self.process.stderr is not None
        self.process.stderr.close()
