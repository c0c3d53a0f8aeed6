"""Python's logging in httpd's error log.

    import logging
    from mod_python.logging import Handler

    logging.getLogger().addHandler(Handler())

What is logged while a request is served goes to the log of its virtual host, with its level and
request id; the rest goes to the server's log.  PythonOption mod_python.logging LEVEL in the main
server's configuration adds a Handler to the root logger of every interpreter.
"""

import logging
import sys

try:
    import _apache
except ImportError:
    _apache = None  # outside httpd: to standard error

# The least level of Python's, and httpd's (apache.APLOG_*).
_LEVELS = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (25, 5),  # between INFO and WARNING: notice
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)
_TRACE = 8


def httpd_level(levelno):
    """httpd's level for one of Python's: CRITICAL is crit, DEBUG debug, what is below trace1."""
    for least, level in _LEVELS:
        if levelno >= least:
            return level
    return _TRACE


class Handler(logging.Handler):
    """Logs records into httpd's error log, each line of a record as one of the log's.

    Time, level and process are in the log's own lines, so the default format is the logger's name
    and the message.  httpd's LogLevel decides too what is written.
    """

    def __init__(self, level=logging.NOTSET):
        super().__init__(level)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record):
        try:
            text = self.format(record)
            if _apache is None:
                sys.stderr.write(text + "\n")
            else:
                _apache._log_lines(httpd_level(record.levelno), text)
        except Exception:
            self.handleError(record)


def install(level):
    """Add a Handler to the root logger, unless it has one, and set its level.

    level is a name or number as logging knows it; ValueError for others.
    """
    number = int(level) if level.isdigit() else logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise ValueError(
            "PythonOption mod_python.logging %s is no level of Python's logging" % level
        )
    root = logging.getLogger()
    if not any(isinstance(handler, Handler) for handler in root.handlers):
        root.addHandler(Handler())
    root.setLevel(number)
