"""What goes into the watched program. Standard library only; nothing here runs until it is asked to."""
