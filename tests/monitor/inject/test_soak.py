"""A few rounds of the soak; python -m tests.monitor.inject.soak --rounds 300 does them in earnest, on every Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from inject_targets import Running, interpreters
from soak import rounds


@pytest.mark.parametrize("program", ["hostile", "aiohttp"])
def test_in_and_out_again_and_again(program: str, tmp_path: Path, runtime_dir: Path) -> None:
    if program == "aiohttp":
        pytest.importorskip("aiohttp")
    with Running(interpreters()["own"], program, tmp_path) as target:
        figures = rounds(target, 20, memory=False)
        assert figures.rounds == 20
        assert figures.grown["threads"] <= 0
        assert figures.grown["pages"] == 0
        assert target.stderr == ""
