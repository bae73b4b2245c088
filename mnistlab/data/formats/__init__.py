"""Reading of the users' own files: what a file is, one reader per format, and one place that makes all data alike."""
