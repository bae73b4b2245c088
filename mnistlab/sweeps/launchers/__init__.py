"""The launchers: how the jobs of a sweep are run, one file each."""
