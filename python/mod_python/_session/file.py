"""FileSession: a file for each session, in 256 directories named after the first hex digits.

A save writes a new file and renames it over the old one, so a child that dies in the middle
leaves the old session, and a reader never sees half of one.
"""

import os
import time
from _thread import get_ident

from mod_python import Session as defaults
from mod_python._session import log, options, serializer

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


def read(path):
    """Return the content of a file and its open descriptor; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, 65536)
        if len(data) == 65536:
            rest = [data]
            while rest[-1]:
                rest.append(os.read(descriptor, 1 << 20))
            data = b"".join(rest)
    except BaseException:
        os.close(descriptor)
        raise
    return data, descriptor


def write(sess_dir, sid, data):
    """Make data the content of the session's file, at once or not at all; OSError."""
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


def _touch(descriptor):
    """Note that the session is in use: cleanup goes by the time of the file first."""
    try:
        os.utime(descriptor)
    except PermissionError:
        pass  # readable, but somebody else's


def _remove(path):
    """Remove a file, if it is there; whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


class FileSession(defaults.BaseSession):
    """Sessions in files below <directory>/mp_sess, shared by all children and interpreters.

    fast_cleanup (by modification time first) and verify_cleanup (look inside before removing)
    default to the PythonOptions.  What goes wrong with a file is logged and counts as no
    session.
    """

    def __init__(
        self, req, sid=0, secret=None, timeout=0, lock=1, fast_cleanup=-1, verify_cleanup=-1
    ):
        configured = options.file(req)

        def choose(argument, option, default):
            if argument != -1:
                return argument
            return default if option is None else option

        self._fast_cleanup = choose(
            fast_cleanup, configured.fast_cleanup, defaults.DFT_FAST_CLEANUP
        )
        self._verify_cleanup = choose(
            verify_cleanup, configured.verify_cleanup, defaults.DFT_VERIFY_CLEANUP
        )
        self._grace_period = choose(-1, configured.grace_period, defaults.DFT_GRACE_PERIOD)
        self._cleanup_time_limit = choose(
            -1, configured.time_limit, defaults.DFT_CLEANUP_TIME_LIMIT
        )
        self._sessdir = os.path.join(configured.directory or defaults.tempdir, "mp_sess")
        if not configured.directory:
            check_owner(self._sessdir)
        self._cleanup_timeout = timeout or defaults.DFT_TIMEOUT
        super().__init__(req, sid=sid, secret=secret, timeout=timeout, lock=lock)

    def do_load(self):
        sid = self._sid
        try:
            data, descriptor = read("%s/%s/%s" % (self._sessdir, sid[:2], sid))
        except FileNotFoundError:
            return None
        except OSError:
            log.failure(self._req, "Error while loading a session")
            return None
        try:
            state = serializer.loads(data, self._options.serializer)
            if time.time() - state["_accessed"] <= state["_timeout"]:
                _touch(descriptor)
            return state
        except Exception:
            log.failure(self._req, "Error while loading a session")
            return None
        finally:
            os.close(descriptor)

    def do_save(self, dict):
        try:
            write(self._sessdir, self._sid, serializer.dumps(dict, self._options.serializer, 2))
        except Exception:
            log.failure(self._req, "Error while saving a session")

    def do_delete(self):
        try:
            _remove("%s/%s/%s" % (self._sessdir, self._sid[:2], self._sid))
        except OSError:
            log.failure(self._req, "Error while deleting a session")

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
    try:
        _Cleanup(data, say).run()
    finally:
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
                        self.expired += _remove("%s/%s" % (directory, name))
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
        data, descriptor = read(path)
        os.close(descriptor)
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
