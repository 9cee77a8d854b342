"""What training would see, shown and proved before training; needs no weights."""
