"""Runs in the probe's threads, by reading only: what a task waits on, locks, queues, pools."""
