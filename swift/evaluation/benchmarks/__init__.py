"""Benchmarks by name: where their rows come from, how a row is asked, and how an answer is judged."""
