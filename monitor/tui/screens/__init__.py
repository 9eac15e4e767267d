"""The screens, one module each. They read the store only."""
