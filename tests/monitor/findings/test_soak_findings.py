"""The short soak: a server under load and samples that do it right, a few seconds each. soak.py is the long one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not here")
def test_nothing_is_found_in_what_is_right(tmp_path):
    pytest.importorskip("aiohttp")
    names = ["server", "lock_convoy_brief", "queue_bounded", "executor_sized", "swallowed_cancel_raised", "crawler"]
    for _ in range(3):  # a machine that is short of CPU does block loops: not the same one each time
        done = subprocess.run(
            [sys.executable, str(HERE / "soak.py"), "--seconds", "7", "--at-once", "6", *names],
            capture_output=True, text=True, timeout=110, env={**os.environ, "LOOPTOP_DIR": str(tmp_path)},
        )  # fmt: skip
        names = re.findall(r"^FOUND  (\S+)", done.stdout, re.MULTILINE)
        if not names:
            break
    assert done.returncode == 0, done.stdout + done.stderr
