"""What a person sees, one module a screen. All of it is read from the store."""
