"""The HTTP server of the Prometheus metrics and clients that are none."""

from __future__ import annotations

import socket
import urllib.request
from typing import TYPE_CHECKING

from monitor.metrics import prometheus

if TYPE_CHECKING:
    import pytest


def test_a_silent_client_is_dropped_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prometheus, "PATIENCE", 0.1)
    stop, port = prometheus.serve(list, "127.0.0.1", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as silent:
            silent.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            assert silent.recv(1000) == b""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert answer.status == 200
    finally:
        stop()
    assert capfd.readouterr().err == ""
