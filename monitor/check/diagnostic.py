"""A finding: its location and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.check.rules import RULES, Rule

if TYPE_CHECKING:
    import ast


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One finding. Lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int
    code: str
    what: str
    """The offending expression, shortened: `self.total`, `work()`."""
    end_line: int
    end_column: int
    text: str
    """The source line."""

    @property
    def rule(self) -> Rule:
        """The rule that was violated."""
        return RULES[self.code]


def diagnostic(path: str, lines: list[str], node: ast.expr | ast.stmt, code: str, what: str) -> Diagnostic:
    """A finding at a node of the syntax tree."""
    line, end = node.lineno, node.end_lineno or node.lineno
    column, end_column = _column(lines, line, node.col_offset), _column(lines, end, node.end_col_offset or 0)
    return Diagnostic(
        path, line, column, code, what, end, end_column, lines[line - 1].strip() if line <= len(lines) else ""
    )


def _column(lines: list[str], line: int, offset: int) -> int:
    """The column in characters, from 1; the tree has it in UTF-8 bytes, from 0."""
    text = lines[line - 1] if line <= len(lines) else ""
    return len(text.encode("utf-8", "replace")[:offset].decode("utf-8", "replace")) + 1
