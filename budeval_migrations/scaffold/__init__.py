"""Writes revision files: the kinds of ``new``, the difference of two schemas, templates."""
