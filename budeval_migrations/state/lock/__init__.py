"""One runner at a time: the lock, its lease and its generation."""
