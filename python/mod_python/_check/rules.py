"""Every rule of `mod_python check`: a stable name, how grave, and what it means for the reader."""

from collections import namedtuple

ERROR, WARNING, NOTE = "error", "warning", "note"

Rule = namedtuple("Rule", "severity text")

# Where one place breaks a rule. `detail` completes the rule's text; `edit` is (first column, last
# column, new text) of the line, or None where a person has to decide.
Finding = namedtuple("Finding", "rule path line column detail edit")

RULES = {
    # -- Python 2 that is no Python 3 --
    "python2-print": Rule(ERROR, "print is a function in Python 3"),
    "python2-except": Rule(ERROR, "Python 3 writes `except Error as name`"),
    "python2-raise": Rule(ERROR, "Python 3 writes `raise Error(value)`"),
    "python2-backticks": Rule(ERROR, "Python 3 writes repr(x) for backticks"),
    "python2-not-equal": Rule(ERROR, "Python 3 writes != for <>"),
    "python2-exec": Rule(ERROR, "exec is a function in Python 3"),
    "python2-octal": Rule(ERROR, "Python 3 writes octal numbers as 0o777"),
    "python2-long": Rule(ERROR, "Python 3 has no numbers with an L at the end"),
    "python2-ur-string": Rule(ERROR, "Python 3 has no ur'' strings"),
    "python2-tuple-parameter": Rule(ERROR, "Python 3 has no tuples among parameters"),
    "python2-module": Rule(ERROR, "this module is not in Python 3"),
    "python2-name": Rule(ERROR, "Python 3 does not have this name"),
    "python2-method": Rule(ERROR, "Python 3 does not have this method"),
    "python2-codec": Rule(ERROR, "str has no such codec in Python 3"),
    "python2-sort": Rule(ERROR, "sort and sorted take no comparison function in Python 3"),
    "python2-string-exception": Rule(ERROR, "Python 3 raises and catches classes, not strings"),
    "python2-metaclass": Rule(WARNING, "__metaclass__ has no effect in Python 3"),
    "python2-keys-index": Rule(
        ERROR, "keys(), values(), items() of a dict are no lists in Python 3"
    ),
    "syntax": Rule(ERROR, "Python does not compile this"),
    "encoding": Rule(ERROR, "the file is not in the encoding it says"),
    "unreadable": Rule(ERROR, "the file was not looked at"),
    # -- mod_python that changed --
    "handler-without-return": Rule(ERROR, "a handler that returns None is a 500"),
    "handler-returns-200": Rule(WARNING, "return apache.OK: 200 as a result is an error page"),
    "mod_python-2": Rule(ERROR, "this is mod_python 2.x"),
    "importer-3.3": Rule(ERROR, "this belongs to the importer of mod_python 3.3, gone since 3.4"),
    "never-existed": Rule(ERROR, "the manual names it, but it does not exist"),
    "handler-as-object": Rule(ERROR, "add_handler takes the handler's name as a str"),
    "client-address": Rule(WARNING, "httpd 2.4 renamed this, and each use is logged"),
    "session-arguments": Rule(WARNING, "session classes differ in the order of these; name them"),
    "send-http-header": Rule(NOTE, "does nothing since httpd 2.0; headers go with the first write"),
    "field-value": Rule(
        WARNING, "the text of a form field is str, after a POST too; only an upload's is bytes"
    ),
    "max-age": Rule(NOTE, "max_age is now sent as Max-Age, which browsers understand"),
    "marshal-cookie": Rule(WARNING, "whoever knows the secret can run code; use SignedCookie"),
    "pickle-from-client": Rule(WARNING, "unpickling what a client sent lets it run code"),
    "eval-from-client": Rule(WARNING, "evaluating what a client sent lets it run code"),
    "shell-from-client": Rule(
        WARNING, "a shell runs what a client sent; use subprocess with a list"
    ),
    "upload-name": Rule(WARNING, "a client's file name can lead anywhere; use os.path.basename"),
    # -- configuration --
    "no-such-directive": Rule(ERROR, "mod_python has no such directive"),
    "directive-context": Rule(ERROR, "httpd does not accept this directive here"),
    "suffix-not-allowed": Rule(ERROR, "this directive takes no `| .ext`"),
    "quoted-handler": Rule(ERROR, "quotes are not removed here, and become part of the name"),
    "handler-as-path": Rule(ERROR, "a handler is a module's name, not a file's"),
    "init-handler-runs": Rule(NOTE, "it runs in sections now; mod_python 3.5 ignored it there"),
    "import-in-vhost": Rule(NOTE, "it takes effect now; mod_python 3.5 ignored it there"),
    "reload-directive": Rule(ERROR, "gone since mod_python 3.0; PythonAutoReload says the same"),
    "wsgi-base-uri": Rule(
        ERROR, "the option is mod_python.wsgi.base_uri, without a slash at its end"
    ),
    "old-option": Rule(NOTE, "an old name that is still understood"),
    "debug-on": Rule(WARNING, "visitors see tracebacks; keep it off on a public server"),
    "pdb-on": Rule(WARNING, "a debugger has no place on a public server"),
    "sessions-in-tmp": Rule(
        WARNING,
        "sessions are pickles, and everybody here can write there: name a directory of httpd's",
    ),
    "testhandler": Rule(WARNING, "it shows configuration and environment to every visitor"),
    "access-2.2": Rule(WARNING, "httpd 2.4 writes Require; this needs mod_access_compat"),
    "directive-2.2": Rule(ERROR, "httpd 2.4 does not have this directive"),
    # -- PSP --
    "psp-unescaped": Rule(WARNING, "text from a visitor goes into the page without html.escape"),
    "psp-comment-in-expression": Rule(ERROR, "an expression cannot end with a comment"),
    "psp-end-on-code-line": Rule(ERROR, "%> of a block of several lines needs a line of its own"),
    "psp-mixed-indentation": Rule(ERROR, "tabs and spaces are mixed; a block's HTML is one tab in"),
    "psp-include-missing": Rule(ERROR, "the included file does not exist"),
}
