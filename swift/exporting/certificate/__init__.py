"""Proof that an exported model is the one that it was made of."""
