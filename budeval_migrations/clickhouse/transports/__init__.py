"""How bytes reach a server: HTTP, native, and the engine in the process."""
