"""Locks on directories: being alone in one, and asking whether a living process is."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".lock"  # the file in a directory that is locked; Windows locks files only
ASKING = 0.05  # seconds
OPEN_FILES_CAN_GO = os.name != "nt"
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # whatever lies there by this name


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Lock a directory for this process, and return whether it is now locked by us: no second process can lock it.

    The system lets go of it when the process ends, however it ends. The lock's file is removed at the end, so that
    what a run leaves is the same everywhere; only a process that was killed leaves it behind, and the next holder
    removes it. A directory in which nothing can be locked, on a file system without locks for instance, everybody has.
    """
    path = directory / NAME
    ours, descriptor = _acquire(path)
    if not ours:  # somebody may just be asking, which takes a moment
        time.sleep(ASKING)
        ours, descriptor = _acquire(path)
    try:
        yield ours
    finally:
        if descriptor is not None:
            _release(path, descriptor)


def is_held(directory: Path) -> bool:
    """Return whether a living process of this machine holds a directory. Nothing is made to find out."""
    try:
        descriptor = os.open(directory / NAME, FLAGS)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> tuple[bool, int | None]:
    """Return whether the directory is ours, and the descriptor that is closed to let go of it."""
    while True:
        try:
            descriptor = os.open(path, FLAGS | os.O_CREAT, 0o666)
        except FileNotFoundError:
            raise
        except OSError:  # nothing can be written here, which what follows will say
            return True, None
        if not _lock(descriptor):
            os.close(descriptor)
            return False, None
        if os.fstat(descriptor).st_nlink:
            return True, descriptor
        os.close(descriptor)  # its holder removed it after it was opened here, and another file may be there by now


def _release(path: Path, descriptor: int) -> None:
    """Remove the lock's file and let go.

    It is removed while it is locked: who has opened it already finds that it has no name when the lock is theirs, and
    opens again. Where an open file cannot be removed, one that can be is nobody's.
    """
    if OPEN_FILES_CAN_GO and os.fstat(descriptor).st_nlink:  # it may have gone with its directory
        with suppress(OSError):
            path.unlink()
    os.close(descriptor)
    if not OPEN_FILES_CAN_GO:
        with suppress(OSError):
            path.unlink()


def _lock(descriptor: int) -> bool:
    import filelock  # here: few directories that are asked about have a lock at all

    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
