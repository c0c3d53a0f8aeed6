"""What sessions tell the operator: in the error log, and in the counters of PythonStatus."""

try:
    import _apache
except ImportError:
    _apache = None  # outside httpd

CRIT, ERR, WARNING, NOTICE = 2, 3, 4, 5  # httpd's levels


def failure(session, what, where):
    """Log the exception being handled; where names the session, for who has to look at it."""
    import traceback

    session._failed = 1
    session._req.log_error("%s : %s(%s)" % (what, traceback.format_exc(), where), ERR)


def count(session, event):
    """Count for PythonStatus what happened to a session."""
    _apache._count_session(session._counted_as, event)


def expired(kind, number):
    """Count sessions that a cleanup removed."""
    if number and _apache is not None:
        _apache._count_session(kind, "expired", number)


def count_all(base):
    """Have sessions of all types that derive from BaseSession counted from now on.

    The methods are replaced, so that they cost nothing where nobody counts.
    """
    from functools import wraps

    def counted(event, method):
        """method, which did the event where it returns and no failure was logged."""

        @wraps(method)
        def counting(self, *args, **keywords):
            self._failed = 0
            try:
                result = method(self, *args, **keywords)
            except Exception:
                count(self, "failed")
                raise
            if self._failed:
                count(self, "failed")
            else:
                event(self, result)
            return result

        return counting

    begin = base._begin

    @wraps(begin)
    def counting_begin(self, *args):
        begin(self, *args)
        count(self, "created" if self._new else "loaded")

    def loaded(self, result):
        if not result:
            count(self, "unknown")

    def saved(self, result):
        if not self._invalid:
            count(self, "saved")

    def deleted(self, result):
        count(self, "deleted")

    base._begin = counting_begin
    base.load = counted(loaded, base.load)
    base.save = counted(saved, base.save)
    base.delete = counted(deleted, base.delete)
