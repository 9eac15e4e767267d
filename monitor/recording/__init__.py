"""Writes, reads, plays, compares and exports recordings: files with the frames of a program. See docs/recording.md."""
