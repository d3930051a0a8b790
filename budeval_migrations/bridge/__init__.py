"""Where projects of before 0.1.0 import ``run_env`` from."""
