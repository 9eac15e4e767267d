"""Finding watched programs, and starting them."""
