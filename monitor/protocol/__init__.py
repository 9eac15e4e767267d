"""The frames of the protocol as validated msgspec structs. No I/O."""
