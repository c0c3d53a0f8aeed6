"""FileSession: a file for each session, in 256 directories named after the first hex digits.

A save never leaves half a session, wherever it is cut off.  Most are written in place by
`_apache._SessionFile`, in a way that src/session_file.rs describes; a new session, or a large one,
is written to a new file that then takes the old one's name.
"""

import os
import time
from _thread import get_ident

from mod_python import Session as defaults
from mod_python._session import log, options, serializer

# The largest session that is written in place, as in src/session_file.rs.
_ROOM = 4096
_STALE_LOCK = 3600  # seconds, of the cleanup's lock file and of temporary files


def check_owner(path):
    """PermissionError if somebody else than us or root owns path, or if it is a symbolic link.

    For the default directory, which all users of the machine share: another one could put
    sessions there, and a pickle is a program.
    """
    import stat

    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if status.st_uid not in (0, os.geteuid()) or stat.S_ISLNK(status.st_mode):
        raise PermissionError(
            "%s belongs to another user; name a directory for sessions with PythonOption "
            "mod_python.session.database_directory" % path
        )


def make_filesession_dirs(sess_dir):
    """Create sess_dir and in it the directories 00 to ff."""
    os.makedirs(sess_dir, exist_ok=True)
    for number in range(256):
        try:
            os.mkdir("%s/%02x" % (sess_dir, number), 0o750)
        except FileExistsError:
            pass


class _PlainFile:
    """A session's file outside httpd, where it is only ever replaced."""

    def __init__(self, path):
        self.path = path

    def read(self):
        """The session as bytes; None if there is no file.  OSError."""
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def touch(self):
        """Note that the session is in use: cleanup goes by the file's time first."""
        os.utime(self.path)

    def write(self, data):
        """Whether data was made the session in place."""
        return False


_SessionFile = getattr(defaults._apache, "_SessionFile", _PlainFile)


def write(sess_dir, sid, data):
    """Make data the whole content of the session's file, at once or not at all; OSError."""
    temporary = "%s/.new-%s-%d-%d" % (sess_dir, sid, os.getpid(), get_ident())
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(temporary, flags, 0o640)
    except FileNotFoundError:
        make_filesession_dirs(sess_dir)
        descriptor = os.open(temporary, flags, 0o640)
    try:
        try:
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)
        path = "%s/%s/%s" % (sess_dir, sid[:2], sid)
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            make_filesession_dirs(sess_dir)
            os.rename(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _remove(path):
    """Remove a file, if it is there; whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


class _Setting:
    """A setting of the cleanup, worked out for the few sessions that clean up; assignable."""

    def __init__(self, option, default):
        self.option = option
        self.default = default

    def __get__(self, session, owner=None):
        if session is None:
            return self
        value = session._options.cleanup(self.option) if self.option else None
        return getattr(defaults, self.default) if value is None else value


class FileSession(defaults.BaseSession):
    """Sessions in files below <directory>/mp_sess, shared by all children and interpreters.

    fast_cleanup (by modification time first) and verify_cleanup (look inside before removing)
    default to the PythonOptions.  What goes wrong with a file is logged and counts as no
    session.
    """

    _counted_as = "FileSession"
    _file = None  # as it was loaded
    _fast_cleanup = _Setting("fast_cleanup", "DFT_FAST_CLEANUP")
    _verify_cleanup = _Setting("verify_cleanup", "DFT_VERIFY_CLEANUP")
    _grace_period = _Setting("grace_period", "DFT_GRACE_PERIOD")
    _cleanup_time_limit = _Setting("time_limit", "DFT_CLEANUP_TIME_LIMIT")
    _cleanup_timeout = _Setting(None, "DFT_TIMEOUT")

    def __init__(
        self, req, sid=0, secret=None, timeout=0, lock=1, fast_cleanup=-1, verify_cleanup=-1
    ):
        configured = options.of(req)
        self._sessdir = configured.sess_dir
        if not self._sessdir:
            self._sessdir = os.path.join(defaults.tempdir, "mp_sess")
            check_owner(self._sessdir)
        if fast_cleanup != -1:
            self._fast_cleanup = fast_cleanup
        if verify_cleanup != -1:
            self._verify_cleanup = verify_cleanup
        if timeout:
            self._cleanup_timeout = timeout
        self._begin(req, sid, secret, lock, timeout, configured)

    def _path(self):
        return f"{self._sessdir}/{self._sid[:2]}/{self._sid}"

    def do_load(self):
        try:
            file = _SessionFile(self._path())
            data = file.read()
            if data is None:
                return None
            state = serializer.loads(data, self._options.serializer)
            if time.time() - state["_accessed"] > state["_timeout"]:
                return None
            file.touch()
        except Exception:
            log.failure(self, "Error while loading a session", self._path())
            return None
        self._file = file
        return state

    def do_save(self, dict):
        try:
            how = self._options.serializer
            data = serializer.dumps({"_layout": 2, **dict}, how, 2)
            # Only who has the session alone knows what is in the file.
            if self._locked and self._file and self._file.write(data):
                return
            if len(data) > _ROOM:
                data = serializer.dumps(dict, how, 2)
            write(self._sessdir, self._sid, data)
            self._file = None
        except Exception:
            log.failure(self, "Error while saving a session", self._path())

    def do_delete(self):
        self._file = None
        try:
            _remove(self._path())
        except OSError:
            log.failure(self, "Error while deleting a session", self._path())

    def do_cleanup(self):
        self._req.register_cleanup(
            filesession_cleanup,
            {
                "req": self._req,
                "sessdir": self._sessdir,
                "timeout": self._cleanup_timeout,
                "fast_cleanup": self._fast_cleanup,
                "verify_cleanup": self._verify_cleanup,
                "grace_period": self._grace_period,
                "cleanup_time_limit": self._cleanup_time_limit,
            },
        )
        self._req.log_error("FileSession: registered filesession cleanup.", log.NOTICE)


def filesession_cleanup(data):
    """Remove expired session files, going on where the last run stopped.

    data is a dict: req (for the log), sessdir, timeout and grace_period (seconds), fast_cleanup
    (look only into files not touched for that long), verify_cleanup (with fast_cleanup: look
    into them at all) and cleanup_time_limit (seconds, 0 for none).
    """
    sess_dir = data["sessdir"]
    say = data["req"].log_error
    say(
        "FileSession cleanup: (fast=%s, verify=%s) ..."
        % (data["fast_cleanup"], data["verify_cleanup"]),
        log.NOTICE,
    )
    lock_file = sess_dir + "/.mp_sess.lck"
    try:
        os.close(os.open(lock_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o660))
    except FileNotFoundError:
        return  # nothing was ever saved
    except FileExistsError:
        if time.time() - os.stat(lock_file).st_mtime > _STALE_LOCK:
            say("FileSession cleanup: stale lockfile found - deleting it", log.NOTICE)
            _remove(lock_file)
        else:
            say("FileSession cleanup: another process is already running", log.NOTICE)
        return
    cleanup = _Cleanup(data, say)
    try:
        cleanup.run()
    finally:
        log.expired("FileSession", cleanup.removed)
        _remove(lock_file)


class _Cleanup:
    """One run of filesession_cleanup."""

    def __init__(self, data, say):
        self.say = say
        self.sess_dir = data["sessdir"]
        self.fast = data["fast_cleanup"]
        self.verify = data["verify_cleanup"] or not self.fast
        self.grace = data["grace_period"]
        self.time_limit = data["cleanup_time_limit"]
        self.start = time.time()
        self.oldest = self.start - data["timeout"] - self.grace
        self.status_file = self.sess_dir + "/fs_status.txt"
        self.removed = 0  # by this run; expired has those of unfinished ones before

    def run(self):
        first, self.expired, self.total, spent = self.read_status()
        self.remove_temporaries()
        for number in range(first, 256):
            self.clean("%s/%02x" % (self.sess_dir, number))
            elapsed = time.time() - self.start
            if self.time_limit and elapsed > self.time_limit and number < 255:
                self.say(
                    "FileSession cleanup incomplete: next cleanup will start at index "
                    "%d (%02x)" % (number + 1, number + 1),
                    log.NOTICE,
                )
                self.write_status(number + 1, self.expired, self.total, spent + elapsed)
                return
        self.say(
            "FileSession cleanup: deleted %d of %d in %.4f seconds"
            % (self.expired, self.total, spent + time.time() - self.start),
            log.NOTICE,
        )
        self.write_status(0, 0, 0, 0.0)

    def read_status(self):
        """Next directory, sessions expired and seen, seconds spent, of an unfinished run."""
        try:
            with open(self.status_file) as file:
                version, number, expired, total, spent = file.read().split()
            if version == defaults.FS_STAT_VERSION and 0 <= int(number) < 256:
                return int(number), int(expired), int(total), float(spent)
        except (FileNotFoundError, ValueError):
            pass
        return 0, 0, 0, 0.0

    def write_status(self, number, expired, total, spent):
        with open(self.status_file, "w") as file:
            file.write("%s %d %d %d %f" % (defaults.FS_STAT_VERSION, number, expired, total, spent))

    def clean(self, directory):
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return
        for name in names:
            if defaults.validate_sid_re.fullmatch(name):
                self.total += 1
                try:
                    if self.is_expired("%s/%s" % (directory, name)):
                        if _remove("%s/%s" % (directory, name)):
                            self.expired += 1
                            self.removed += 1
                except FileNotFoundError:
                    pass  # deleted meanwhile
                except OSError as error:
                    self.say("FileSession cleanup error: %s" % error, log.NOTICE)

    def is_expired(self, path):
        untouched = os.stat(path).st_mtime < self.oldest
        if self.fast and not untouched:
            return False
        if not self.verify:
            return True
        data = _SessionFile(path).read()
        if data is None:
            return False  # deleted meanwhile
        try:
            return serializer.peek(data) + self.grace < time.time()
        except ValueError as error:
            self.say("FileSession cleanup error: %s: %s" % (path, error), log.NOTICE)
            return untouched  # garbage, and nobody wants it

    def remove_temporaries(self):
        """Remove what children left that died in the middle of a save."""
        for name in os.listdir(self.sess_dir):
            if name.startswith(".new-"):
                path = "%s/%s" % (self.sess_dir, name)
                try:
                    if os.stat(path).st_mtime < self.start - _STALE_LOCK:
                        _remove(path)
                except FileNotFoundError:
                    pass
