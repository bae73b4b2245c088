"""What every room may use: errors, files, locks, signals, the console, random streams."""
