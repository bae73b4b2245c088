"""mnistlab from Python and notebooks: `train`, `sweep`, `runs`, `load_run` and `compare`, which `mnistlab` exports.

They do what the commands of these names do, in the same directories, and return objects that show what lies there.
"""
