"""Runs in the probe's threads: endpoints, connections, one session per viewer, frames as lines."""
