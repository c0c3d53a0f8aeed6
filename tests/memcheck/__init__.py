"""Everything a request can touch, in one httpd process of which every use of memory is watched.

site.py        the server, and the requests of a round
valgrind.py    under memcheck: wrong uses of memory, and leaks that grow with the rounds
valgrind.supp  what memcheck reports of others, each entry explained
asan.py        with a module built with AddressSanitizer
__main__.py    runs one of the two
"""
