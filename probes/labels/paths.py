"""Folds the ids in paths without a route, so that `/items/17` and `/items/18` share a label."""

from __future__ import annotations

import re

MOST_LABEL = 200
_ID = re.compile(
    r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(?=[^/]*\d)[0-9a-fA-F]{8,}|(?=[^/]*\d)[\w=~%.-]{22,}|[0-9A-HJKMNP-TV-Z]{26}"
)
_MOST_SEGMENTS = 12
_METHOD = re.compile(r"[A-Z]{1,12}")


def folded(path: str) -> str:
    """The path with `*` for each segment that looks like an id, without query, cut to a bounded length."""
    segments = path[:2000].partition("?")[0].split("/")
    cut = ["*" if _ID.fullmatch(segment) else segment for segment in segments[:_MOST_SEGMENTS]]
    if len(segments) > _MOST_SEGMENTS:
        cut.append("…")
    return "/".join(cut)[:MOST_LABEL]


_labels: dict[tuple[object, str], str] = {}
_MOST_KEPT = 2000


def label(method: object, path: str) -> str:
    """`GET /items/{id}`. The method comes from the client, so only a plausible one is used."""
    key = (method, path)
    found = _labels.get(key)
    if found is None:
        text = method if isinstance(method, str) and _METHOD.fullmatch(method) else "?"
        if len(_labels) >= _MOST_KEPT:
            _labels.clear()
        found = _labels[key] = f"{text} {path}"[:MOST_LABEL]
    return found
