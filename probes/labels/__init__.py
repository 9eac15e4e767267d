"""Reads labels of tasks (a route, an RPC method) in the program's threads, at births and ends of tasks."""
