"""One run and its directory: the pipeline from configuration to report, the files it writes, and how they are read,
resumed and repeated.
"""
