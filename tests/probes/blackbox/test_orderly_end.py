"""What makes an end by a signal one in order: only what uvicorn does after it has shut down."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from uvicorn.config import Config
from uvicorn.server import Server

from probes.blackbox.orderly_end import OrderlyEnd


def capture_signals(server: Server) -> list[int]:
    """Reads as uvicorn's function of that name does, before it raises them."""
    return server._captured_signals


@pytest.fixture
def ends():
    found: list[str] = []
    watch = OrderlyEnd(found.append)
    watch.look()
    watch.look()
    yield found
    watch.forget()
    assert "_captured_signals" not in vars(Server)


@pytest.fixture
def server(ends, monkeypatch) -> Server:
    made = Server(Config("app:app"))
    made.started, made.lifespan = True, SimpleNamespace(should_exit=False)
    made.handle_exit(signal.SIGTERM, None)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    return made


def test_only_the_signal_that_uvicorn_raises_counts(ends, server):
    assert server._captured_signals == [signal.SIGTERM] and ends == []
    server._captured_signals = []
    assert capture_signals(server) == [] and ends == []
    server._captured_signals = [signal.SIGTERM]
    assert capture_signals(server) == [signal.SIGTERM]
    assert ends == ["ended in order (SIGTERM)"]


@pytest.mark.parametrize("trouble", ["forced", "not started", "failed", "tasks", "connections", "handled", "blocked"])
def test_what_is_not_in_order(ends, server, trouble, monkeypatch):
    match trouble:
        case "forced":
            server.force_exit = True
        case "not started":
            server.started = False
        case "failed":
            server.lifespan.should_exit = True
        case "tasks" | "connections":
            getattr(server.server_state, trouble).add(object())
        case "handled":
            monkeypatch.setattr(signal, "getsignal", lambda _: print)
        case "blocked":
            monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: {signal.SIGTERM})
    assert capture_signals(server) == [signal.SIGTERM] and ends == []
