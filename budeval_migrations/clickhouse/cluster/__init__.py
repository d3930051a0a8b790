"""The hosts of a cluster, the queue of distributed DDL, and Keeper."""
