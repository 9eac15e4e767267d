"""Modal screens: a confirmation, or a form with text fields."""
