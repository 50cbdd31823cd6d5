"""What the codes should obey."""
