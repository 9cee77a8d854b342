"""Publishing an exported folder: its model card, what of it goes, and the hubs."""
