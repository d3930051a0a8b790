"""The command line: what people type, read, and get as exit codes.

``main`` has the commands, ``output`` everything that is printed. The only place
that knows click and rich.
"""
