"""Questions about runs, models and data: which setting is better, what went wrong in a run, which learning
rate to take, how a saved model does on other images.
"""
