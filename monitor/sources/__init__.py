"""Sources of frames: the interface and the live connection."""
