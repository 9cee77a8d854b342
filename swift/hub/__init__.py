"""From the name of a model or data set to files on this machine."""
