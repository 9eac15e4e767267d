"""Samples for flame graphs: what loops run, and what tasks wait for. Collected only while a viewer asks."""
