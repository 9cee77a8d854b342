"""Loading of pictures, videos and sounds: from what a row names to pixels and samples. No torch here."""
