"""What the user can do in the dashboard: cancel tasks, record, trace memory, replay. Shared by several screens."""
