"""Connections to a probe: addresses, descriptors passed between processes, sockets. Knows frames, no store."""
