"""lm-eval's tasks over our engines."""
