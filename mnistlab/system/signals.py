"""Ctrl-C and SIGTERM: how a process that runs experiments is interrupted, and can still record it.

Not every system has every signal and every call. This module alone checks with `hasattr` for those missing on Windows,
and describes what happens without them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

GRACE = 5.0  # seconds that an interrupted run has to record the interruption
PATIENCE = 1.0  # seconds that C code has to return to Python after an interruption
RAISES_AGAIN = 0.01  # seconds after an interruption that was not handled
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Windows has no SIGHUP, and only Windows has SIGBREAK
DEADLY: dict[int, Any] = dict.fromkeys(
    (getattr(signal, name) for name in NAMES if hasattr(signal, name)), signal.SIG_DFL
)


class Undivided:
    """``with UNDIVIDED:`` around code that must not be interrupted halfway: an interruption waits for its end.

    So does one that third-party code has swallowed, as C code may when it checks whether an attribute exists.
    """

    depth, waiting = 0, False

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.waiting and not self.depth:
            self.waiting = False
            raise KeyboardInterrupt


UNDIVIDED = Undivided()


@contextmanager
def delayed() -> Iterator[None]:
    """Delay an interruption to the end of the block; an earlier one is already being recorded.

    Python calls signal handlers in the main thread only, so other threads are not affected.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, UNDIVIDED.waiting = UNDIVIDED.waiting, False
    UNDIVIDED.depth += 1
    try:
        yield
    finally:
        UNDIVIDED.depth -= 1
        came, UNDIVIDED.waiting = UNDIVIDED.waiting, UNDIVIDED.waiting or before
        if came and not UNDIVIDED.depth:
            raise KeyboardInterrupt


class Interrupted(KeyboardInterrupt):
    """A recorded interruption, with its message."""


class Terminated:
    """Raises KeyboardInterrupt on the first of the signals in `DEADLY`, so that a run can record its state.

    After it, ``later`` decides how further signals are handled; by default they end the process at once.
    ``status`` is the exit status that goes with the signal.
    """

    status = 128 + signal.SIGINT
    prints_lost: Callable[[Any], Any] = sys.__unraisablehook__

    @classmethod
    def listen(cls, later: Mapping[int, Any] = DEADLY, also: Sequence[int] = ()) -> Terminated:
        """Install the handlers, also for the signals ``also``.

        A signal that the process ignores, for example under nohup, remains ignored.
        """
        flag = cls()

        def handler(signum: int, frame: FrameType | None) -> None:
            flag.status = 128 + signum
            _set(later)
            UNDIVIDED.waiting = True
            if not UNDIVIDED.depth:
                raise KeyboardInterrupt

        UNDIVIDED.depth, UNDIVIDED.waiting = 0, False
        if sys.unraisablehook is not _lost:
            cls.prints_lost, sys.unraisablehook = sys.unraisablehook, _lost
        _set(dict.fromkeys((*DEADLY, *also), handler))
        return flag


def _set(actions: Mapping[int, Any]) -> None:
    """Install handlers, but not for a signal that this process ignores, as under nohup or a script's &."""
    for number, action in actions.items():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, action)


def _lost(unraisable: Any) -> None:
    """Raise an interruption again that came in a weak-reference callback or ``__del__``, where Python prints it."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt) or not UNDIVIDED.waiting:
        Terminated.prints_lost(unraisable)
        return
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _again)
        signal.setitimer(signal.ITIMER_REAL, RAISES_AGAIN)
        return
    # A thread sends SIGINT instead, which the main thread handles when it returns to Python
    after = signal.getsignal(signal.SIGINT)

    def once(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, after)
        _again(signum, frame)

    signal.signal(signal.SIGINT, once)
    threading.Timer(RAISES_AGAIN, signal.raise_signal, [signal.SIGINT]).start()


def _again(signum: int, frame: FrameType | None) -> None:
    if UNDIVIDED.waiting and not UNDIVIDED.depth:
        raise KeyboardInterrupt


@contextmanager
def unmistaken() -> Iterator[None]:
    """Turn an error that an interruption caused inside the block into the interruption.

    If an interruption arrives in the ``finally`` of third-party code, that code may fail because of a missing step.
    """
    try:
        yield
    except Exception as error:
        if UNDIVIDED.waiting:
            raise KeyboardInterrupt from error
        raise


def leave_to_the_system() -> None:
    """Let later signals end the process at once."""
    _set(DEADLY)


def end_with(parent: Connection) -> None:
    """End this worker process on a signal or when its parent has ended; a resumed sweep runs the job again.

    ``parent`` is the reading end of a pipe. Only the parent has the writing end, and sends nothing: it is closed by the
    parent to end this process, or by the system when the parent has ended. On Windows, a SIGTERM from the parent would
    kill the process at once, and `os.getppid` may return a parent that ended long ago.
    """
    _set(dict.fromkeys(DEADLY, lambda *_: os._exit(143)))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # see `quiet_start`

    def watch() -> None:
        with suppress(EOFError, OSError):
            parent.recv_bytes()
        _terminate()
        time.sleep(GRACE)
        os._exit(143)

    threading.Thread(target=watch, daemon=True, name="parent watcher").start()


def _terminate() -> None:
    """Make the main thread handle a SIGTERM; `pthread_kill`, where available, also wakes it from a system call."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start workers that ignore Ctrl-C until `end_with`: during imports each would print a traceback.

    Without `pthread_sigmask`, on Windows, those tracebacks are printed, with no other effect.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Keep the handlers of signals in a block in which a library installs its own."""
    is_main = threading.current_thread() is threading.main_thread()  # only that thread may set them
    before = {number: signal.getsignal(number) for number in DEADLY} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible(also: Sequence[int] = ()) -> Iterator[Terminated]:
    """Turn signals inside the block into a KeyboardInterrupt, so that a job can record its interruption.

    Ctrl-C reaches a worker twice, from the terminal and as the SIGTERM of its sweep: a SIGTERM that follows is ignored,
    but not a second Ctrl-C. ``also`` are signals by which a scheduler announces the end of a job; a second one is
    ignored too.
    """
    before = {number: signal.getsignal(number) for number in (*DEADLY, *also)}
    later = {**DEADLY, **dict.fromkeys((signal.SIGTERM, *also), signal.SIG_IGN)}
    try:
        yield Terminated.listen(later, also)
    finally:
        UNDIVIDED.waiting = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf(last_words: Callable[[], None]) -> Iterator[None]:
    """Make an interruption end the process even during C code that may be busy for minutes.

    Python calls a signal handler between two of its instructions, and there are none within LIBSVM. So a thread is
    notified of signals by the system itself; if a signal has had no effect after a second, or a second one follows, it
    calls ``last_words`` and ends the process, with exit status 129, 130 or 143.
    """
    import socket  # imported here: only commands that fit a scikit-learn model need it

    if threading.current_thread() is not threading.main_thread():  # other threads get no signals
        yield
        return
    reading, writing = socket.socketpair()  # on Windows, signals wake up sockets only
    writing.setblocking(False)

    def watch() -> None:
        while number := reading.recv(1):
            if number[0] in DEADLY:
                reading.settimeout(PATIENCE)
                try:
                    ends = bool(reading.recv(1))
                except TimeoutError:
                    ends = True
                if ends:
                    last_words()
                    os._exit(128 + number[0])
                return

    thread = threading.Thread(target=watch, daemon=True, name="signal watcher")
    thread.start()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        thread.join()
        reading.close()
