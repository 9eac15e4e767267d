"""The history that the probe keeps with nobody connected: figures per second and per ten seconds, bounded."""
