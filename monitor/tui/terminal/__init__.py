"""The terminal below the dashboard: keys typed ahead, a lost terminal, Ctrl+Z, captured output."""
