"""A picture of a screen is a new file that only its owner may read."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from driver import running

if TYPE_CHECKING:
    import pytest


async def test_a_picture_is_a_new_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(size=(120, 30)) as driver:
        driver.app.action_picture()
        (picture,) = tmp_path.glob("looptop-*.svg")
        assert stat.S_IMODE(picture.stat().st_mode) == 0o600 and picture.read_text().startswith("<svg")
        driver.app.action_picture()
        assert [path for path in tmp_path.iterdir() if path.is_file()] == [picture], (
            "the second one of the same moment replaces nothing"
        )
