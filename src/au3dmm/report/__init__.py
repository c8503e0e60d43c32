"""Pictures made from the tables."""
