"""Processes that programs start or end: signals reach new ones as usual, fork is refused where it
fails, and os._exit says that it ends the child.

httpd blocks signals in its threads and has handlers of its own for some, which is nothing that
another process should inherit: terminate() would have no effect on it.
"""

import _signal  # what the module signal is made of, without enum
import functools
import os
import sys

import _apache

_OF_HTTPD = [
    getattr(_signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1", "SIGWINCH")
]
_IS_THREADED = 2  # apache.AP_MPMQ_IS_THREADED


def install():
    """Set this interpreter up. Called once, before programs can import anything."""
    for name in ("fork", "forkpty"):
        setattr(os, name, _guarded(getattr(os, name)))
    if _apache._is_main_interpreter():
        os.register_at_fork(after_in_child=_is_forked)
    if _apache.mpm_query(_IS_THREADED):
        _unblock_new_programs()
    _announce_exit()


def _guarded(fork):
    """os.fork where it can work; CPython ends the new process, or hangs in it, in other cases."""

    @functools.wraps(fork)
    def guarded():
        if not _apache._is_only_interpreter():
            raise RuntimeError(
                "MP0112: os.fork, and with it multiprocessing's method fork, works in a process "
                "with one Python interpreter only, and this child has several. Start processes "
                "by subprocess or multiprocessing's method spawn, or let all handlers run in one "
                "interpreter: `PythonInterpPerServer Off`, and no PythonInterpreter"
            )
        return fork()

    return guarded


def _is_forked():
    """Give up httpd's signal handlers, which end a child of httpd's, and unblock signals."""
    for number in _OF_HTTPD:
        # None is a handler that Python code did not install.
        if _signal.getsignal(number) is None:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _announce_exit():
    """Have os._exit say in the error log that it ends the child; nobody else would."""
    end, child = os._exit, os.getpid()

    @functools.wraps(end)
    def _exit(status):
        # Processes forked from the child end like this as a matter of course.
        if os.getpid() == child:
            import traceback

            caller = "".join(traceback.format_stack(sys._getframe(1))).strip()
            text = "MP0110: os._exit(%r) ends this child and all its requests, called from %s"
            _apache.log_error(text % (status, caller), 2)
        end(status)

    os._exit = _exit


def _unblock_new_programs():
    import _posixsubprocess

    start = _posixsubprocess.fork_exec

    @functools.wraps(start)
    def fork_exec(*args):
        # A new program has the mask of the thread that starts it. What httpd's main thread waits
        # for still goes there, for the kernel prefers that one; and what is there already must not
        # hit this thread. The end of an earlier process is always there, and harmless.
        waiting = _signal.sigpending() - {_signal.SIGCHLD}
        blocked = _signal.pthread_sigmask(_signal.SIG_SETMASK, waiting)
        try:
            return start(*args)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)

    _posixsubprocess.fork_exec = fork_exec
    # A .pth file may have imported it, and it may have taken the function's name.
    subprocess = sys.modules.get("subprocess")
    if hasattr(subprocess, "_fork_exec"):
        subprocess._fork_exec = fork_exec
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _with_empty_mask(getattr(os, name)))


def _with_empty_mask(spawn):
    @functools.wraps(spawn)
    def wrapped(*args, **options):
        options.setdefault("setsigmask", ())
        return spawn(*args, **options)

    return wrapped
