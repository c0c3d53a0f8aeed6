"""Modules of the standard library that are imported when something of them is asked for."""

import types


class LaterModule(types.ModuleType):
    """Stands for a module, whose name it is made with: its attributes are that module's."""

    def __getattr__(self, name):
        return getattr(__import__(self.__name__), name)

    def __setattr__(self, name, value):
        setattr(__import__(self.__name__), name, value)

    def __dir__(self):
        return dir(__import__(self.__name__))


# What programs that look at the type's name expect.
LaterModule.__name__ = "module"
