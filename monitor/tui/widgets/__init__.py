"""Pieces of screens. Each could be lifted out: none knows a screen or the app."""
