"""Talking to models: in the terminal, once, or over a whole data set."""
