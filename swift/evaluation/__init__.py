"""How good a model is, by numbers."""
