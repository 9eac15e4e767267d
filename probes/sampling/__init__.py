"""Runs in the probe's threads: turns records into rows and events, and watches for a blocked loop."""
