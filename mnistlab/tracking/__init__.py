"""Runs told to somebody else while they train: a table, TensorBoard or MLflow. Nothing here changes a number.

The settings are a config group; what does the work is imported only where it was chosen.
"""

from mnistlab.tracking.listener import Facts, Listener, check, listening
from mnistlab.tracking.settings import TRACKINGS, NoTracking, Tracking

__all__ = ["TRACKINGS", "Facts", "Listener", "NoTracking", "Tracking", "check", "listening"]
