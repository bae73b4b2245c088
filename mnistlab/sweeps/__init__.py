"""Many runs: the grid that a command line asks for, the launchers that run its jobs, the manifest that remembers
them, and the summary they end in; and two kinds of search, `tune` and `gridsearch`.
"""
