"""What every other package may use: errors, the clock, times, ranges, files, tasks, the operating system."""
