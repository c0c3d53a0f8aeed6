"""The dispatcher's Python half: what is slow and rare, so that Rust need not do it.

The module calls `load` when a handler has to be imported or looked at again, and `ReportError` when
an exception escapes. The published names of the original's dispatcher are kept.
"""

import sys
import threading

import _apache

from mod_python import _importer

_path_cache = {}
_path_cache_lock = threading.Lock()


class CallBack:
    """What the module keeps of an interpreter; made by apache.init()."""

    def load(
        self,
        module_name,
        python_path=None,
        directory=None,
        autoreload=True,
        log=False,
        names=None,
    ):
        """Set sys.path up and import a handler's module; return what `_importer.load` does.

        python_path is the text of PythonPath in force; without one, directory goes to the front of
        sys.path. names are those a PythonPath may use besides the module `apache`.
        """
        if python_path is not None:
            self.set_path(python_path, names)
            directory = None
        elif directory and directory not in sys.path:
            sys.path.insert(0, directory)
        return _importer.load(module_name, directory, autoreload, log)

    def set_path(self, text, names=None):
        """Evaluate a PythonPath the first time this text is met; its items replace sys.path's.

        Raises what the expression raises, and TypeError where it gives no list of strings.
        """
        with _path_cache_lock:
            if text not in _path_cache:
                from mod_python import apache

                known = {**vars(apache), "interpreter": apache.interpreter}
                path = eval(text, known, dict(names or {}))
                # A lone string would be taken apart into its characters.
                items = [] if isinstance(path, (str, bytes)) else list(path)
                if not items or not all(isinstance(item, str) for item in items):
                    raise TypeError(
                        "PythonPath must give a list of strings, and %s gives %r" % (text, path)
                    )
                sys.path[:] = items
                _path_cache[text] = None

    def forget_parts(self, error):
        """What a failed call may have left of an import; see `_importer.forget_parts`."""
        _importer.forget_parts(error)

    def import_at_start(self, name, python_path=None, log=False):
        """PythonImport: import a module, and call its function if one is named."""
        if python_path is not None:
            self.set_path(python_path)
        module_name, _, function = name.partition("::")
        module = _importer.import_module(module_name, log=log)
        if function:
            getattr(module, function)()

    def run_pdb(self, handler, arg):
        """Call a handler under pdb (PythonEnablePdb)."""
        import pdb

        debugger = pdb.Pdb()
        debugger.reset()
        sys.settrace(debugger.trace_dispatch)
        try:
            return handler(arg)
        finally:
            debugger.quitting = True
            sys.settrace(None)

    def IncludeDispatch(self, fltr, tag, code):
        """SSI: evaluate or execute the code of a tag; what eval gives is written, unless None.

        The names are those of req.ssi_globals, which earlier phases may have filled and all tags of
        the request share. `filter` in there is the filter while the tag runs.
        """
        req = fltr.req
        names = getattr(req, "ssi_globals", None)
        if names is None:
            names = req.ssi_globals = {}
        names["filter"] = fltr
        names["__file__"] = req.filename
        code = code.replace("\r\n", "\n").rstrip()
        try:
            if tag == "eval":
                result = eval(code, names)
                if result is not None:
                    fltr.write(str(result))
            else:
                exec(code, names)
            fltr.flush()
        finally:
            names["filter"] = None

    def ImportDispatch(self, name):
        """As `import_at_start`, with the main server's PythonPath and PythonDebug."""
        from mod_python import apache

        config = apache.main_server.get_config()
        self.import_at_start(name, config.get("PythonPath"), config.get("PythonDebug") == "1")

    def ReportError(
        self,
        etype,
        evalue,
        etb,
        req=None,
        filter=None,
        srv=None,
        phase="N/A",
        hname="N/A",
        debug=0,
    ):
        """Log an exception, and show it to the client when debug is true.

        Returns 500 (400 where the request's body is broken or does not come, as httpd answers
        that), or apache.DONE (-2) when a page was written.
        """
        import traceback

        status = 400 if _body_is_broken(evalue) else 500

        if filter is not None and req is None:
            req = filter.req
        try:
            chunks = traceback.format_exception(etype, evalue, etb)
        except Exception as error:
            # An exception whose own methods raise: its name and place are still worth something.
            chunks = ["Traceback (most recent call last):\n", *_safe_tb(traceback, etb)]
            chunks.append("%s: <unprintable: %r>\n" % (etype.__name__, type(error)))
        chunks.extend(_advice(evalue))
        for chunk in chunks:
            text = "%s %s: %s" % (phase, hname, chunk[:-1] if chunk.endswith("\n") else chunk)
            if req is not None:
                req.log_error(text, 3)
            elif srv is not None:
                srv.log_error(text, 3)
            else:
                _apache.log_error(text, 3)
        if not debug or req is None or _client_is_gone(evalue):
            return status
        from html import escape

        page = ['\n<pre>\nMod_python error: "%s %s"\n\n' % (escape(phase), escape(hname))]
        page.extend(escape(chunk) + "\n" for chunk in chunks)
        page.append("</pre>\n")
        text = "".join(page).encode("utf-8", "backslashreplace")
        req.status = status
        req.content_type = "text/html"
        if filter is not None and not req.sent_bodyct:
            # That of the content which the filter did not pass on.
            del req.headers_out["Content-Length"]
        try:
            (filter or req).write(text)
            if filter is not None:
                filter.flush()
        except OSError:
            # The client is gone, and the error is in the log.
            return status
        return -2


# How extension modules say that they know one interpreter only: CPython, Cython, numpy, PyO3.
_REFUSAL = r"(?i)sub-?interpreters?\b|once per (interpreter )?process|one interpreter per process"


def _advice(error):
    """What to do about a module in C that refuses a sub-interpreter, as lines of the report."""
    if _apache._is_only_interpreter():
        return
    import re  # not at the top: what every child imports before its first answer is kept small

    for cause in _importer.causes(error):
        if isinstance(cause, ImportError) and re.search(_REFUSAL, cause.msg or ""):
            if _apache._is_main_interpreter():
                yield (
                    "MP0106: a module in C works in one interpreter of a process only, and another "
                    "than the main one has loaded it first. Say `PythonInterpreter "
                    "main_interpreter` wherever a handler that uses it is configured, or "
                    "`PythonInterpPerServer Off` for the whole server.\n"
                )
                return
            yield (
                "MP0106: a module in C works in Python's main interpreter only, and this is "
                "%r, one of its own. Say `PythonInterpreter main_interpreter` where the handler "
                "is configured, or `PythonInterpPerServer Off` for the whole server.\n"
                % _apache._interpreter_name()
            )
            return


def _client_is_gone(value):
    """Whether an exception says that the client went away while something was written."""
    return isinstance(value, OSError) and str(value).startswith(("Write failed", "Flush failed"))


def _safe_tb(traceback, etb):
    try:
        return traceback.format_tb(etb)
    except Exception:
        return []


def _body_is_broken(value):
    """Whether an exception says that the request's body could not be read (req.read's words)."""
    return isinstance(value, OSError) and str(value) == "Client read error (Timeout?)"
