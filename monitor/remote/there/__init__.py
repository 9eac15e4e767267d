"""What the relay answers on the other side of `--via`. Sent, never imported here; standard library only, Python 3.8."""
