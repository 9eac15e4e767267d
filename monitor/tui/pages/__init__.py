"""What the pages say, as lines: pure functions of the store. They know no widget and no screen."""
