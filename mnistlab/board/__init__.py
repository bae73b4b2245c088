"""The board: one page over all runs while they run, served on this machine, and the same page frozen into one file."""
