"""`swift bench`: experiments side by side, each in a process of its own, and one table of what they came to."""
