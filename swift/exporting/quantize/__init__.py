"""Weights in fewer bits, written to a folder: one file a method, over the method's own library."""
