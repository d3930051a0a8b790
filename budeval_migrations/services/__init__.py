"""One module a verb: upgrade, status, plan, drift, verify, diff. Knows no click."""
