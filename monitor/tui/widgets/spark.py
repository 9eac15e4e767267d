"""Small charts in one line of text. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def level(share: float) -> int:
    """0..7 of a share of 0..1."""
    return min(max(int(share * 8), 0), 7)


def lag_share(seconds: float) -> float:
    """Lag by its logarithm, 1 ms to 1 s, so that the same height always means the same lag."""
    if seconds <= 0.001:
        return 0.0
    return min(math.log10(seconds * 1000) / 3, 1.0)


def line(shares: Sequence[float], cells: int) -> str:
    """The newest shares as blocks, the newest at the right; cells without a value are empty."""
    shown = shares[-cells:] if cells > 0 else []
    return "".join(BLOCKS[level(share)] for share in shown).rjust(cells)


def bar(share: float, cells: int) -> str:
    """A horizontal bar with eighths of a cell; anything above nothing shows at least one eighth."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(cells)
