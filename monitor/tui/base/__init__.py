"""The base of the dashboard: styled text, colours, keys, and the app's interface. Draws nothing."""
