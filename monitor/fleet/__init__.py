"""Several programs as one service: the processes of a TARGET, the slot and store of each, and all of them together."""
