"""Runs in the program's thread: what replaces asyncio's methods, and the records that the hooks write."""
