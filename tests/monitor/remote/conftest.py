"""Links that are closed again, and a real sshd."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd as servers

from monitor.remote import links


@pytest.fixture(autouse=True)
def no_links() -> Iterator[None]:
    yield
    links.close_all()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Sshd]:
    if servers.SSHD is None:
        pytest.skip(servers.MISSING)
    try:
        Path("/run/sshd").mkdir(exist_ok=True)  # its own requirement, whatever its settings say
    except OSError:
        pytest.skip("sshd needs /run/sshd, which only root can make, so nothing is tested over a real one")
    server = servers.Sshd(tmp_path_factory.mktemp("ssh") / "server")
    yield server
    server.close()
