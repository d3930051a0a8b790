"""Tests without I/O; the folders mirror the package."""
