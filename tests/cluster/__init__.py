"""Real servers around a real ZooKeeper."""
