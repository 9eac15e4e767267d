"""The rows of the Service screen on a real server: the busy worker comes on top, one that is stopped holds up nobody."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from servers import GUNICORN, serving
from waiting import wait_until

from monitor.cli.target import Connector
from monitor.findings.thresholds import Thresholds
from monitor.fleet.base import ASKED
from monitor.fleet.fleet import Change, Fleet
from monitor.fleet.members import Members
from monitor.fleet.service import Service


def test_the_busy_worker_is_on_top_and_a_stopped_one_holds_up_nobody(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed: pip install '.[dev]'")
    connect = Connector()
    with (
        serving(GUNICORN, tmp_path, workers=3) as server,
        closing(Fleet(Members([str(server.pid)]), connect, ASKED)) as fleet,
    ):
        service = Service(fleet, Thresholds(), "shop")

        def rows() -> list:
            service.step()
            return sorted(service.rows(), key=lambda row: row.trouble, reverse=True)

        def stepped(seconds: float) -> list:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                rows()
                time.sleep(0.1)
            return rows()

        wait_until(lambda: len(found := rows()) == 3 and all(row.tasks for row in found), "three workers")
        busy = threading.Thread(target=server.get, args=("/busy",), daemon=True)
        busy.start()
        top = wait_until(lambda: (row := rows()[0]).utilization and row.utilization > 0.8 and row, "a busy one")
        stepped(0.5)
        other = next(pid for pid in server.workers() if pid != top.pid)
        os.kill(other, signal.SIGSTOP)
        stopped = wait_until(lambda: (row := rows()[0]).pid == other and row, "the stopped one on top")
        assert "stopped" in stopped.problem
        before = {store.worker: store.now for store in service.stores()}

        def gone_on() -> list[int]:
            rows()
            return [store.worker for store in service.stores() if store.now > before[store.worker] + 1.0]

        wait_until(lambda: sorted([*gone_on(), stopped.worker]) == [0, 1, 2], "a second of both others")
        os.kill(other, signal.SIGCONT)
        (tmp_path / "calm").touch()
        wait_until(lambda: all(row.problem is None for row in rows()), "all of them again")
        assert {of.store.worker for of in service.tasks()} == {0, 1, 2}
        busy.join(60)

        # One executes another program: the same pid and slot, an end and a start, and it is entered again.
        with pytest.raises(OSError):
            server.get("/exec")
        before = {store.worker: (store.session.id, store.session.pid) for store in service.stores()}

        changes: list[Change] = []

        def replaced() -> list:
            changes.extend(service.step())
            now = {
                store.worker: store.session.id
                for store in service.stores()
                if store.session.pid == before[store.worker][1]
            }
            return [slot for slot in now if now[slot] != before[slot][0]] if len(now) == 3 else []

        (slot,) = wait_until(replaced, "another program in the slot of the one that is no more")
        assert {row.worker for row in rows()} == {0, 1, 2}
        ends = [(one.worker, one.reason) for one in changes if not one.joined]
        assert ends == [(slot, "executed another program")]
        assert next(row for row in rows() if row.worker == slot).tasks is not None
