"""What every part of the probe uses, in either thread: protocol words, settings, creation sites, stacks, validation."""
