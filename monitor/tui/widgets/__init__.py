"""Widgets and line builders. None knows a screen or the app."""
