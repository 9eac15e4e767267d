"""Finds watched programs, starts new ones and attaches to running ones."""
