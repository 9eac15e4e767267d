"""A store as one frame and back, so that a recording can be entered anywhere."""
