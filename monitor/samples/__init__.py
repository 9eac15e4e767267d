"""The samples as an executable specification: each is run under the probe and checked against its expectations."""
