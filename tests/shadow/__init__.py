"""The shadow engine: rehearsals, drift, verification."""
