"""Several programs as one service: which processes belong to a TARGET, and the slot of each."""
