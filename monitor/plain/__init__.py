"""Output without a screen: tables, JSON and NDJSON, for people and scripts."""
