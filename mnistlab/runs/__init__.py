"""One run and its directory: the pipeline from configuration to report, its files, and how runs are read, resumed and
repeated.
"""

from mnistlab.runs.callable_module import install

install(__name__)  # mnistlab.runs("outputs", "state=failed") is the list of runs
