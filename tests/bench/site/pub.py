"""Functions that mod_python.publisher publishes."""


def plain(req):
    return "hello world\n"


def greet(req, name):
    return "hello " + name + "\n"
