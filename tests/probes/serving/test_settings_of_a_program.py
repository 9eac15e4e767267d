"""One program with settings: whose line a skipped file stands for, and how long a silent TCP peer is kept."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

from waiting import wait_until
from watched import Program, free_port

SOURCE = """
import asyncio, sys
from house.spawn import start

async def main():
    task = start(asyncio.sleep(60))  # the line that made it
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""
SPAWN = "import asyncio\n\ndef start(coro):\n    return asyncio.create_task(coro, name='made by house')\n"
UNKNOWN_PEER = 5.0
"""Seconds in which a peer must prove that it knows the token: docs/protocol.md."""


def test_a_skipped_file_is_no_creation_site_and_a_silent_peer_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "spawn.py").write_text(SPAWN)
    port = free_port()
    env = {"LOOPTOP_LISTEN": f"127.0.0.1:{port}", "LOOPTOP_SKIP": "/nowhere/,/house/", "LOOPTOP_NAME": "x"}
    with Program(SOURCE, folder=tmp_path, env=env) as program:
        program.expect("ready")

        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), 60) as peer:
            silent = peer.makefile("rb")
            assert json.loads(silent.readline())["type"] == "challenge"
            with program.viewer() as viewer:

                def made() -> list[dict[str, object]]:
                    return [fact for fact in viewer.facts.values() if fact["name"] == "made by house"]

                (fact,) = viewer.until(made, "the task")
                file, line, function = viewer.sites[fact["site"]][:3]
                assert viewer.strings[file].endswith("program.py")
                assert (SOURCE.splitlines()[line - 1].partition("#")[2], viewer.strings[function]) == (
                    " the line that made it",
                    "main",
                )
            *_, last = [json.loads(text) for text in silent.readlines()]  # up to the end of the connection
        assert time.monotonic() - began >= UNKNOWN_PEER - 0.5
        assert (last["type"], last["message"]) == ("error", "the connection was idle for too long")
        with program.viewer() as viewer:
            wait_until(lambda: viewer.ticks(1) is None, "ticks for others")
        program.say()
        assert program.end() == 0
