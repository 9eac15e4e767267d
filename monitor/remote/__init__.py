"""Reaches other machines and containers through a command such as `ssh HOST`: the link, and what is sent over it."""
