"""Locks on directories: to hold one exclusively, and to find out whether a running process holds one."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".lock"  # the file that is locked in a directory; Windows can lock files only
ASKING = 0.05  # seconds
OPEN_FILES_CAN_GO = os.name != "nt"
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # safe for links and pipes too


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Lock a directory for this process, and yield whether we hold the lock; only one process can.

    The system releases the lock when the process ends, however it ends. The lock file is removed at the end, so that
    every completed run has the same files; only a killed process leaves it behind, and the next holder removes it.
    Where locking is impossible, for example on a file system without locks, every process gets the directory.
    """
    path = directory / NAME
    ours, descriptor = _acquire(path)
    if not ours:  # another process may just be checking, which takes a moment
        time.sleep(ASKING)
        ours, descriptor = _acquire(path)
    try:
        yield ours
    finally:
        if descriptor is not None:
            _release(path, descriptor)


def is_held(directory: Path) -> bool:
    """Return whether a running process of this machine holds a directory. No file is created to find out."""
    try:
        descriptor = os.open(directory / NAME, FLAGS)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> tuple[bool, int | None]:
    """Return whether the directory is ours, and the descriptor to close in order to release it."""
    while True:
        try:
            descriptor = os.open(path, FLAGS | os.O_CREAT, 0o666)
        except FileNotFoundError:
            raise
        except OSError:  # nothing can be written here; the next write reports it
            return True, None
        if not _lock(descriptor):
            os.close(descriptor)
            return False, None
        if os.fstat(descriptor).st_nlink:
            return True, descriptor
        os.close(descriptor)  # the holder removed the file after we opened it, and there may be another one by now


def _release(path: Path, descriptor: int) -> None:
    """Remove the lock file and release the lock.

    The file is removed while it is locked: a process that has already opened it gets a lock on a file without a name,
    notices that, and opens a new one. Where an open file cannot be removed, a file that can be removed has no holder.
    """
    if OPEN_FILES_CAN_GO and os.fstat(descriptor).st_nlink:  # it may have been removed with its directory
        with suppress(OSError):
            path.unlink()
    os.close(descriptor)
    if not OPEN_FILES_CAN_GO:
        with suppress(OSError):
            path.unlink()


def _lock(descriptor: int) -> bool:
    import filelock  # imported here: few of the directories that are checked have a lock

    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
