"""Runs in the probe's threads: tracemalloc on request, live objects, memory and descriptors of the process."""
