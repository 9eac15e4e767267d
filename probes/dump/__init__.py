"""Writes the tasks as text to stderr at the signal of the setting `dump_signal`. Runs in the probe's thread."""
