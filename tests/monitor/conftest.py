"""Fixtures of all tests of the monitor: a private runtime directory, and probes that are closed again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import fake_probe
import pytest
from fake_probe import Behaviour, FakeProbe


@pytest.fixture
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory in which no real probe is. Its path is short enough for a socket."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("LOOPTOP_DIR", str(directory))
    for name in ("LOOPTOP_TOKEN", "LOOPTOP_TOKEN_FILE", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def probe_at() -> Iterator[Callable[[Path, Behaviour], FakeProbe]]:
    """Opens fake probes on Unix sockets."""
    opened: list[FakeProbe] = []

    def open_probe(path: Path, behave: Behaviour = fake_probe.well) -> FakeProbe:
        opened.append(fake_probe.on_path(path, behave))
        return opened[-1]

    yield open_probe
    for probe in opened:
        probe.close()
        assert probe.problems == []


@pytest.fixture
def probe_on_tcp() -> Iterator[Callable[[Behaviour], FakeProbe]]:
    """Opens fake probes on loopback."""
    opened: list[FakeProbe] = []

    def open_probe(behave: Behaviour) -> FakeProbe:
        opened.append(fake_probe.on_tcp(behave))
        return opened[-1]

    yield open_probe
    for probe in opened:
        probe.close()
        assert probe.problems == []
