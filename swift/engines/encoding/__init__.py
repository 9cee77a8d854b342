"""Models that give vectors, labels and scores in place of answers."""
