"""The benchmark: what this package costs, beside its competitors and beside the least possible.

``python -m bench`` is the command. Nothing here is part of the package, and no test asserts a time.
"""
