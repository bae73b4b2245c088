"""Many runs: the grid of a command line, the launchers that run its jobs, the manifest that lists them, and the
summary of the results; and two kinds of search, `tune` and `gridsearch`.
"""
