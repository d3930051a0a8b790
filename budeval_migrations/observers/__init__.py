"""They listen to a run's events: log lines, OpenTelemetry, hooks."""
