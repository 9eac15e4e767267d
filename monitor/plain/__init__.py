"""Tables, JSON and NDJSON for people's scripts."""
