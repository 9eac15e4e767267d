"""Reads the step ring in slices: what ran, when it became ready and what made it ready. Runs in the probe's thread."""
