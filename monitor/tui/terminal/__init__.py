"""The terminal below the dashboard: type-ahead, a lost terminal, job control, captured output, crash reports."""
