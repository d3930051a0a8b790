"""The same contract on every engine."""
