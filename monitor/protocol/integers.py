"""The integers and texts of the wire, bounded: what is larger is no frame. Durations and times are in microseconds."""

from __future__ import annotations

from typing import Annotated

import msgspec

Int = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""No number on the wire is larger: one of a thousand digits could be turned into no float."""

Microseconds = Int

Text = Annotated[str, msgspec.Meta(max_length=2000)]
"""A probe cuts every text at 1,000 characters or less."""

Stack = Annotated[list[Int], msgspec.Meta(max_length=200)]
"""Numbers of sites. A probe sends at most 100 frames."""
