"""What became of a statement whose outcome is unknown."""
