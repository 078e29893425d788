"""Sources of packets."""
