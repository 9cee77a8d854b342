"""Running code that a model wrote, shut in."""
