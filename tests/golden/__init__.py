"""What the program has always written for the same command: hashes of every file that repeats byte by byte."""
