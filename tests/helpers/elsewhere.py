"""A Python like that of Windows: what only POSIX has is taken away before mnistlab is imported.

The modules in LOADED are those of the standard library and of dependencies that choose their way by `sys.platform`, and
so ask for POSIX by right here; they are imported before. filelock among them: it brings its own lock on Windows.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

LOADED = ("subprocess", "asyncio", "filelock")
MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "syslog")
OF_OS = (
    *("fork", "forkpty", "killpg", "getpgid", "setsid", "sched_getaffinity", "getppid", "geteuid", "getuid"),
    *("set_blocking", "sysconf", "mkfifo", "wait4", "statvfs", "getloadavg", "O_NOFOLLOW", "O_DIRECTORY"),
)
OF_SIGNAL = (
    *("SIGHUP", "SIGALRM", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCHLD", "alarm", "setitimer", "getitimer"),
    *("pthread_sigmask", "pthread_kill", "sigwait", "sigpending", "siginterrupt", "pause", "ITIMER_REAL", "SIG_BLOCK"),
)


def take_away() -> None:
    """Leave this process without what only POSIX has."""
    for name in LOADED:
        import_module(name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError
    kill, no_mercy = os.kill, signal.SIGKILL
    os.kill = lambda pid, number: kill(pid, no_mercy if number == signal.SIGTERM else number)  # TerminateProcess
    for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which every Python, workers included, starts like that."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("from helpers.elsewhere import take_away\n\ntake_away()\n")
    tests = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, (str(folder), str(tests), str(tests.parent), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "JOBLIB_START_METHOD": "spawn", "COVERAGE_PROCESS_START": ""}
