"""The embedded server as a stage: rehearsals, drift, verification."""
