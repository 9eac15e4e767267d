"""Settings beyond their limits: the limit is used, and one line on stderr says so."""

from __future__ import annotations

import pytest

from probes.base.settings import SETTINGS, from_environment


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("trace", "5000", 1024),
        ("trace", "0.01", 0.16),
        ("slow", "0", 0.01),
        ("ended", "0", 1),
        ("ended", "1000000", 100_000),
        ("box_flame", "5", 10),
        ("box_flame", "-5", 0),
    ],
)
def test_beyond_its_limits(name: str, value: str, used: float, capsys: pytest.CaptureFixture[str]) -> None:
    variable = f"LOOPTOP_{name.upper()}"
    assert getattr(from_environment({variable: value}, {}), name) == used
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"looptop: {variable}=") and said.endswith(f"; using {used:g}")


def test_within_their_limits_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    settings = from_environment({"LOOPTOP_TRACE": "0", "LOOPTOP_ENDED": "5"}, {"slow": 0.5, "box_flame": 0})
    assert [settings.trace, settings.ended, settings.slow, settings.box_flame] == [0, 5, 0.5, 0]
    assert all(getattr(from_environment({}, {}), one.name) == one.default for one in SETTINGS)
    assert not capsys.readouterr().err
