"""Progress bars."""

import subprocess
import sys

STARTED = """
from multiprocessing import resource_tracker
from mnistlab.system.console import progress_bar
with progress_bar(total=2, disable=False) as bar:
    bar.update(2)
print(resource_tracker._resource_tracker._pid)
"""


def test_a_progress_bar_leaves_no_semaphore_to_complain_about_when_its_process_is_ended():
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"  # no process that tracks what must be removed
    assert "100%" in done.stderr
