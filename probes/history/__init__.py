"""What the probe remembers while nobody is connected: figures of each second and of each ten seconds, bounded."""
