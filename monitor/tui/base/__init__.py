"""What all of the dashboard builds on: styled text, colours, keys, and what is needed of the app. Draws nothing."""
