"""Locks on directories: being alone in one, and asking whether a living process is."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASKING = 0.05  # seconds


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Lock a directory for this process, and return whether it is now locked by us: no second process can lock it.

    The kernel lets go of it when the process ends, however it ends; no file is left behind. A file system without
    such locks lets everybody have it.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        ours = _lock(descriptor)
        if not ours:  # somebody may just be asking, which takes a moment
            time.sleep(ASKING)
            ours = _lock(descriptor)
        yield ours
    finally:
        os.close(descriptor)


def is_held(directory: Path) -> bool:
    """Return whether a living process of this machine holds a directory."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
