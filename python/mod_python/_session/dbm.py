"""DbmSession: sessions of all children and interpreters in one database file.

The database is SQLite, which Python's own dbm prefers since 3.13: a child that dies in the middle
of a save leaves the old session, and nothing has to be opened for each request.  It lies beside
the file that is configured, as <file>.sqlite3; sessions that an older dbm file of that name holds
are taken over once.  A dbm module that a program asks for by dbmtype, or any where Python has no
sqlite3, is written by replacing the whole file, which is safe and slow.
"""

import os
import time
from threading import Lock

from mod_python import Session as defaults
from mod_python._session import log, options, serializer
from mod_python._session.file import check_owner


class _GlobalLock:
    """Lock 0 of all children, for files."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        defaults._apache._global_lock(self.server, None, 0)

    def __exit__(self, *error):
        defaults._apache._global_unlock(self.server, None, 0)


def _stat_id(path):
    """A number for the file that has this name now; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino << 64 | status.st_dev


_file_id = getattr(defaults._apache, "_file_id", _stat_id)


class _SqliteStore:
    """The table of one SQLite file, with a connection that is kept.

    The table is the one of Python's dbm.sqlite3, which can read the file, and a column with the
    time when a session expires.
    """

    SELECT = "SELECT value FROM Dict WHERE key = ?"
    UPDATE = "UPDATE Dict SET value = ?, expires = ? WHERE key = ?"
    INSERT = "INSERT OR REPLACE INTO Dict (value, expires, key) VALUES (?, ?, ?)"
    DELETE = "DELETE FROM Dict WHERE key = ?"
    CREATE = (
        "CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL, "
        "expires REAL)"
    )

    def __init__(self, dbm_path, is_private):
        self.dbm_path = dbm_path
        self.path = dbm_path + ".sqlite3"
        # Outside the shared temporary directory nobody else can put a file.
        self.is_private = is_private
        self.mutex = Lock()
        self.connection = self.identity = None

    def load(self, sid, server):
        return self._do(server, self._load, sid)

    def _load(self, sid):
        row = self.connection.execute(self.SELECT, (sid,)).fetchone()
        return row and row[0]

    def save(self, sid, data, expires, server):
        with _GlobalLock(server):
            self._do(server, self._save, sid, data, expires, locked=True)

    def _save(self, sid, data, expires):
        row = (data, expires, sid)
        if not self.connection.execute(self.UPDATE, row).rowcount:
            self.connection.execute(self.INSERT, row)

    def delete(self, sid, server):
        with _GlobalLock(server):
            self._do(server, self._delete, sid, locked=True)

    def _delete(self, sid):
        self.connection.execute(self.DELETE, (sid,))

    def clean(self, server):
        """Remove what has expired; how many sessions that were."""
        with _GlobalLock(server):
            return self._do(server, self._clean, locked=True)

    def _clean(self):
        now = time.time()
        removed = self.connection.execute("DELETE FROM Dict WHERE expires < ?", (now,)).rowcount
        # Rows that another program wrote have no time.
        foreign = self.connection.execute("SELECT key, value FROM Dict WHERE expires IS NULL")
        for key, value in foreign.fetchall():
            if _is_over(value, now):
                self._delete(key)
                removed += 1
        return removed

    def _do(self, server, action, *args, locked=False):
        """Run an action on the open database; a damaged one is put aside and begun anew."""
        if not locked:
            with self.mutex:
                if self._is_open():
                    try:
                        return action(*args)
                    except Exception as error:
                        if not self._is_damage(error):
                            raise
            # Opening takes the lock of all children, always before ours: the other order, beside
            # a thread that saves, has each wait for the other.
            with _GlobalLock(server):
                return self._do(server, action, *args, locked=True)
        with self.mutex:
            if not self._is_open():
                self._open()
            try:
                return action(*args)
            except Exception as error:
                if not self._is_damage(error):
                    raise
                self._put_aside(error)
                self._open()
                return action(*args)

    def _is_open(self):
        """Whether we have it open, and not one that was removed, or put aside, meanwhile."""
        return self.connection is not None and _file_id(self.path) == self.identity

    def _is_damage(self, error):
        """Whether an error says that the file is no database; more special classes do not."""
        import sqlite3

        return type(error) is sqlite3.DatabaseError

    def _open(self):
        """Open the database, with both locks held."""
        import sqlite3

        self.connection = None
        if not self.is_private:
            for suffix in ("", "-wal", "-shm"):
                check_owner(self.path + suffix)
        if not os.path.exists(self.path):
            self._create()
        identity = _file_id(self.path)
        connection = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except sqlite3.DatabaseError as error:
            if not self._is_damage(error):
                raise
            connection.close()
            self._put_aside(error)
            return self._open()
        self.connection = connection
        self.identity = identity

    def _prepare(self, connection):
        connection.execute("PRAGMA cache_size = -512").close()
        # Readers and writers do not wait for each other, and a commit is one write.
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("PRAGMA synchronous = NORMAL").close()
        connection.execute(self.CREATE)

    def _create(self):
        """Make the file, complete with the sessions of an older dbm file, then give it its name."""
        import sqlite3

        new = self.path + ".new"
        for name in (new, new + "-journal"):
            if os.path.exists(name):
                os.unlink(name)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o640))
        connection = sqlite3.connect(new, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            connection.execute(self.CREATE)
            for key, value, expires in self._older_sessions():
                connection.execute(self.INSERT, (value, expires, key))
            connection.execute("COMMIT")
        finally:
            connection.close()
        os.rename(new, self.path)

    def _older_sessions(self):
        """(key, value, expiry) of the sessions in the dbm file that older versions used."""
        import dbm

        kind = dbm.whichdb(self.dbm_path)
        if not kind:
            return
        if not self.is_private:
            for suffix in ("", ".db", ".dat", ".dir", ".pag"):
                check_owner(self.dbm_path + suffix)
        now = time.time()
        try:
            with dbm.open(self.dbm_path, "r") as older:
                for key in older.keys():
                    value = older[key]
                    try:
                        expires = serializer.peek(value)
                    except ValueError:
                        continue
                    if expires >= now:
                        yield key, value, expires
        except (OSError, *dbm.error) as error:
            _log(
                "MP0644: DbmSession: sessions in %s (%s) are not taken over: %s"
                % (self.dbm_path, kind, error),
                log.WARNING,
            )

    def _put_aside(self, error):
        self.connection = None
        for suffix in ("-wal", "-shm", ""):
            try:
                os.rename(self.path + suffix, self.path + ".damaged" + suffix)
            except FileNotFoundError:
                pass
        _log(
            "MP0645: DbmSession: %s is damaged (%s); kept as %s.damaged, "
            "and all sessions begin anew" % (self.path, error, self.path),
            log.CRIT,
        )


class _DbmStore:
    """A file of some dbm module, opened for each operation and never written in place."""

    def __init__(self, path, module):
        self.path = path
        self.module = module

    def load(self, sid, server):
        with _GlobalLock(server), self.module.open(self.path, "c", 0o640) as db:
            try:
                return db[sid]
            except KeyError:
                return None

    def save(self, sid, data, expires, server):
        def change(db):
            db[sid] = data

        self._change(server, change)

    def delete(self, sid, server):
        def change(db):
            if sid in db:
                del db[sid]

        self._change(server, change)

    def clean(self, server):
        """As _SqliteStore.clean."""

        def change(db):
            now = time.time()
            over = [key for key in db.keys() if _is_over(db[key], now)]
            for key in over:
                del db[key]
            return len(over)

        return self._change(server, change)

    def _change(self, server, change):
        """Change a copy of the files, then give it their names.

        Where the module keeps one file this is safe against a kill at any time; where it keeps
        two, the record being saved may be lost between the renames.
        """
        import shutil

        with _GlobalLock(server):
            copy = self.path + ".new"
            for suffix in _suffixes(copy):
                os.unlink(copy + suffix)
            for suffix in _suffixes(self.path):
                shutil.copy(self.path + suffix, copy + suffix)
            with self.module.open(copy, "c", 0o640) as db:
                result = change(db)
            # Data before index, where there are two.
            for suffix in sorted(_suffixes(copy), key=(".dir", ".bak").count):
                os.rename(copy + suffix, self.path + suffix)
            return result


def _suffixes(path):
    """The suffixes with which dbm modules keep files under this name."""
    return [
        suffix
        for suffix in ("", ".db", ".dat", ".pag", ".dir", ".bak")
        if os.path.isfile(path + suffix)
    ]


def _is_over(value, now):
    """Whether a stored value is an expired session, or none at all."""
    try:
        return serializer.peek(value) < now
    except ValueError:
        return True


def _log(message, level):
    defaults._apache.log_error(message, level)


_stores = {}
_abandoned = []


def _forget_connections():
    # A forked child must neither use nor close what belongs to its parent.
    _abandoned.append(dict(_stores))
    _stores.clear()


os.register_at_fork(after_in_child=_forget_connections)


def _store(path, dbmtype, is_private=True):
    """The store for a configured file."""
    if (path, dbmtype) in _stores:
        return _stores[path, dbmtype]
    if dbmtype is None or dbmtype.__name__ == "dbm":
        try:
            import sqlite3  # noqa: F401

            store = _SqliteStore(path, is_private)
        except ImportError:
            import dbm

            store = _DbmStore(path, dbm)
    else:
        store = _DbmStore(path, dbmtype)
    return _stores.setdefault((path, dbmtype), store)


class DbmSession(defaults.BaseSession):
    """Sessions in the database file dbm, by default the one that is configured.

    dbmtype is a module like dbm.gnu to keep them in instead of SQLite.  What goes wrong with the
    database is raised; a session that cannot be understood is logged and counts as none.
    """

    _counted_as = "DbmSession"

    def __init__(self, req, dbm=None, sid=0, secret=None, dbmtype=None, timeout=0, lock=1):
        configured = options.of(req)
        path = dbm or configured.dbm_path
        self._dbmfile = path or os.path.join(defaults.tempdir, "mp_sess.dbm")
        self._dbmtype = dbmtype
        self._store = _stores.get((self._dbmfile, dbmtype)) or _store(
            self._dbmfile, dbmtype, bool(path)
        )
        self._begin(req, sid, secret, lock, timeout, configured)

    def do_load(self):
        data = self._store.load(self._sid.encode(), self._req.server)
        if data is None:
            return None
        try:
            return serializer.loads(data, self._options.serializer)
        except Exception:
            where = "session %s of %s" % (self._sid, self._dbmfile)
            log.failure(self, "Error while loading a session", where)
            return None

    def do_save(self, dict):
        data = serializer.dumps(dict, self._options.serializer)
        expires = dict["_accessed"] + dict["_timeout"]
        self._store.save(self._sid.encode(), data, expires, self._req.server)

    def do_delete(self):
        self._store.delete(self._sid.encode(), self._req.server)

    def do_cleanup(self):
        # A list: a tuple would arrive as three arguments.
        self._req.register_cleanup(dbm_cleanup, [self._dbmfile, self._dbmtype, self._req.server])
        self._req.log_error("DbmSession: registered database cleanup.", log.NOTICE)


def dbm_cleanup(data):
    """Remove expired and malformed sessions; data is the list [file, dbmtype, server]."""
    path, dbmtype, server = data
    log.expired("DbmSession", _store(path, dbmtype).clean(server))
