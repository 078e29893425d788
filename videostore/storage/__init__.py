"""The storage directory and its index, quota and repair."""
