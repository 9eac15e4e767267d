"""Runs in the program's thread, if the program uses them: profiling and breakpoint decorators."""
