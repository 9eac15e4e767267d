"""The step ring: what ran, when it had become ready and who made it ready. Read by the probe's thread, in slices."""
