"""The model of a watched program, written only by frames; knows no widget, colour or socket."""
