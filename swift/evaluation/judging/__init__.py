"""A model that judges answers of others."""
