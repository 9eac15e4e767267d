"""The samples as an executable specification: each is run under the probe, and what was seen is judged."""
