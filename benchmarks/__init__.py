"""Side-by-side measurements; see README.md in this folder. Not part of the installed package."""
