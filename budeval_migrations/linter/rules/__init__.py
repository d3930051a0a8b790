"""One module a rule; each has its ``RULE``."""
