"""Samples for flame graphs: what the threads of loops run, and what tasks wait for. Collected while a viewer asks."""
