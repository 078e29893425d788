"""What every other package may use: errors, time, files, tasks."""
