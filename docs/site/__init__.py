"""What makes the site, and those pages of it that say what the code says."""
