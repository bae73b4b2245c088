"""Five published coursework papers: their figures and claims as data, runs of ours held against them, and the page that
says how they compare.
"""
