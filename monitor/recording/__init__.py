"""Recordings: the frames of a program in a file, and everything that is done with one. See docs/recording.md."""
