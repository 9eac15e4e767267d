"""Reaches other machines and containers over a command that people have: what is sent there, and the link to it."""
