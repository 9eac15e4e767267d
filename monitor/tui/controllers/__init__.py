"""Actions of the dashboard shared by several screens: cancel tasks, record, trace memory, replay."""
