"""Runs in the probe's threads, by reading only: what tasks wait on, locks, queues, pools, threads, stuck programs."""
