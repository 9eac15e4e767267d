"""Charts in one line of text. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def level(share: float) -> int:
    """The block height, 0 to 7, for a share of 0 to 1."""
    return min(max(int(share * 8), 0), 7)


def lag_share(seconds: float) -> float:
    """The lag on a fixed logarithmic scale from 1 ms to 1 s, so that heights are comparable."""
    if seconds <= 0.001:
        return 0.0
    return min(math.log10(seconds * 1000) / 3, 1.0)


def line(shares: Sequence[float], cells: int) -> str:
    """The newest shares as blocks, right-aligned."""
    shown = shares[-cells:] if cells > 0 else []
    return "".join(BLOCKS[level(share)] for share in shown).rjust(cells)


def bar(share: float, cells: int) -> str:
    """A horizontal bar in eighths of a cell; a share above 0 shows at least one eighth."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(cells)
