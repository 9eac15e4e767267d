"""Modal screens that ask the person something: a confirmation, or a form with text fields."""
