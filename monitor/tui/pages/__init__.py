"""The text of the pages as lines: pure functions of the store, without widgets or screens."""
