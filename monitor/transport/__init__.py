"""Connections to a probe: addresses, sockets, and descriptors passed between processes. Knows frames but no store."""
