"""The black box: a bounded file with the last minutes of the program, which outlives it. Runs in the probe's thread."""
