"""Boxes in pictures: as a model's family writes them, and back from its text."""
