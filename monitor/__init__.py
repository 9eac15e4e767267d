"""The person's side: commands, store and screens."""
