"""Analyses of runs, models and data: which setting is better, what went wrong in a run, which learning rate to use,
how a saved model performs on other images.
"""
