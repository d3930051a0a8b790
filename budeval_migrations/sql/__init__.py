"""Read ClickHouse SQL as text: tokens, statements, kinds, secrets, quoting, checksums.

Owns every rule about SQL that can be decided from the text alone; text comes in
and text goes out, and nothing here does I/O. May import ``errors`` and ``model``
of this package and nothing else.
"""
