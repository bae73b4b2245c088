"""One run and its directory: the pipeline from configuration to report, its files, and how runs are read, resumed and
repeated.
"""
