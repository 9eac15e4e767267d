"""Labels of tasks: a route, an RPC method. Read, never set, in the program's threads at births and ends of tasks."""
