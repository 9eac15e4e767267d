"""The model: fed by frames and by nothing else; knows no widget, colour or socket."""
