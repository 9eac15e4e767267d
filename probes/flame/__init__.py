"""Samples for flame graphs while a viewer asks: what loops run, what tasks wait for. Runs in the probe's threads."""
