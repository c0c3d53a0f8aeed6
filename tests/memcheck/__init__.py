"""Everything a request can touch, in one httpd process under valgrind.

site.py      the server, and the requests of a round
report.py    reads valgrind's report: errors, and leaks that grow with the rounds
__main__.py  runs it
valgrind.supp  what others do, each entry explained
"""
