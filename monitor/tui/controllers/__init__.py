"""What a person can do in the dashboard: cancel, record, trace, replay. Each is used by more than one screen."""
