"""The integers of the wire: bounded, and durations and times are counted in microseconds."""

from __future__ import annotations

from typing import Annotated

import msgspec

Int = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""No number on the wire is larger: one of a thousand digits could be turned into no float."""

Microseconds = Int
