"""Five published coursework papers: their figures and claims as data, our runs of their experiments, and the page that
compares them.
"""
