"""Figures per second and per ten seconds, kept with nobody connected, bounded. Runs in the probe's thread."""
