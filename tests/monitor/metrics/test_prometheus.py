"""The HTTP server of the Prometheus metrics and clients that are none."""

from __future__ import annotations

import socket
import threading
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

from waiting import wait_until

from monitor.metrics import prometheus

if TYPE_CHECKING:
    import pytest


def test_a_silent_client_is_dropped_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prometheus, "PATIENCE", 0.1)
    stop, port = prometheus.serve(list, "127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as silent:
            silent.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            assert silent.recv(1000) == b""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert answer.status == 200
    finally:
        stop()
    assert capfd.readouterr().err == ""


def test_a_crowd_of_silent_clients_does_not_keep_a_scrape_out(capfd: pytest.CaptureFixture[str]) -> None:
    stop, port = prometheus.serve(list, "127.0.0.1", 0)
    before = threading.active_count()
    try:
        with ExitStack() as crowd:
            clients = [
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                for _ in range(3 * prometheus.MOST_CLIENTS)
            ]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                assert answer.status == 200
            assert clients[0].recv(10) == b"", "the oldest had to go"
            wait_until(lambda: threading.active_count() <= before + prometheus.MOST_CLIENTS, "no more threads")
    finally:
        stop()
    assert capfd.readouterr().err == ""
