"""Weights in few bits: one file a library, what they look like as layers, and checkpoints that come so."""
