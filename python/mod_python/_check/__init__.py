"""`mod_python check`: reads a site's configuration, handlers and pages, and tells what to change.

rules.py          every rule: its name, how grave it is, what it means
mask.py           Python source of any version without its strings and comments
python2.py        Python 2 in the text of a program, with the edits that mend it
program.py        what a program's syntax tree tells: calls and names that changed
configuration.py  httpd.conf and .htaccess
pages.py          PSP pages
report.py         findings as text, JSON and SARIF
command.py        options, finding the files, applying edits
"""
