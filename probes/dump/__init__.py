"""The tasks as text on stderr, when the signal of the setting `dump_signal` arrives."""
