"""Commands over SSH: asyncssh's client and its server on loopback, with keys generated for this run.

What you see: `command-*` tasks that wait for the output of their command, and `session-*` tasks on the server's
side; each connection opens as many sessions as it needs. `stranger-*` tasks fail with `PermissionDenied`,
because their key is unknown. The handshake computes for some milliseconds in the loop. The server runs no
programs: it answers from a table. (Needs asyncssh.)
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks, Utilization

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHKey, SSHServerProcess

SAMPLE = Sample(
    name="ssh_commands",
    topic="networks",
    sentence="Three tasks run commands over SSH on a server that knows their key, and strangers are refused.",
    fix=None,
    expectations=(
        Tasks(task="session-*", at_least=1),
        TaskEnded(task="command-*", outcome="done", times=5, at_least=0.15),
        TaskEnded(task="stranger-*", outcome="failed", exception="PermissionDenied"),
        Utilization(at_most=0.6),
        NoSlowCallback(over=0.4),
        NoUnhandled(),
        NoFinding(),
    ),
    needs=("asyncssh",),
)
COMMANDS = {"hello": "hello yourself", "weather": "rain, and sun later", "who": "nobody but you"}


async def session(process: SSHServerProcess[str]) -> None:
    """Answer one command, and take 0.2 s for it."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name(f"session-{process.command}")
    await asyncio.sleep(0.2)
    answer = COMMANDS.get(process.command or "")
    process.stdout.write(f"{answer}\n" if answer else f"{process.command}: not in the table\n")
    process.exit(0 if answer else 127)


async def command(connection: SSHClientConnection, rng: random.Random) -> str:
    """Run a command on the server; returns its output."""
    done = await connection.run(rng.choice((*COMMANDS, "format the disk")))
    return f"{str(done.stdout).strip()} (exit status {done.exit_status})"


async def main(options: Options) -> None:
    """Generate keys, start the server, connect, run commands, and let a client with an unknown key try."""
    import asyncssh

    rng = random.Random(options.seed)
    host, friend, stranger = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    known = asyncssh.import_authorized_keys(friend.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=known, process_factory=session
    )
    trusted: tuple[list[SSHKey], list[SSHKey], list[SSHKey]] = ([host.convert_to_public()], [], [])

    async def knock() -> str:
        await asyncssh.connect(
            "127.0.0.1", server.get_port(), config=None, username="eve", client_keys=[stranger], known_hosts=trusted
        )
        return "the door was open"

    async with (
        server,
        asyncssh.connect(
            "127.0.0.1", server.get_port(), config=None, username="ada", client_keys=[friend], known_hosts=trusted
        ) as connection,
    ):
        for round_ in itertools.count(1):
            tasks = [
                asyncio.create_task(command(connection, rng), name=f"command-{round_}-{number}") for number in range(3)
            ]
            if round_ % 4 == 2:
                tasks.append(asyncio.create_task(knock(), name=f"stranger-{round_}"))
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                print(result)
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    run(main, SAMPLE)
