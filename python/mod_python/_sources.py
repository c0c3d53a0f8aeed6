"""Whether files that something was made from have changed, and may be read again.

A file that is written over in place is left alone until half a second after its last change: its
writer may not be done, and half a program may well be one. What is renamed to its place is whole.
Where there is nothing whole to go on with, because the first one to ask came upon a file that was
being written, every change counts at once.
"""

import os
import time

# What a look at the files may find: that they are as they were; that they are not, and to be read
# again; or that one of them is being written, and what was made of them before is to be used.
CURRENT, CHANGED, UNFINISHED = range(3)

# In nanoseconds: how long a file is left alone, and how far the clock of its file system may be
# ahead of ours. A time still later says nothing.
_SETTLED = 500_000_000
_AHEAD = 10_000_000_000


class Sources:
    """Files that something was made from.

    files -- pairs of a name and the stamp it had before it was read; whole -- whether it is certain
    that nobody was writing them then.
    """

    __slots__ = ("files", "whole")

    def __init__(self, files):
        self.files = tuple(files)
        self.whole = False

    def look(self):
        """CURRENT, CHANGED or UNFINISHED."""
        same = settled = finished = True
        # Before the files: this thread may have to wait for a while in between.
        now = time.time_ns()
        for name, old in self.files:
            try:
                status = os.stat(name)
            except OSError:
                same = False
                continue
            young = -_AHEAD < now - status.st_mtime_ns < _SETTLED
            # The last that happened to it, not a rename or a change of its mode.
            written = young and status.st_ctime_ns == status.st_mtime_ns
            if stamp_of(status) == old:
                settled = settled and not written
            else:
                same = False
                # In its place, or deleted first. Not all file systems set both times alike.
                finished = finished and not (young and (written or status.st_ino == old[2]))
        if same:
            self.whole = self.whole or settled
            return CURRENT
        return CHANGED if finished or not self.whole else UNFINISHED

    def replace(self, before):
        """Whether what was just read is to be used instead of what was made of `before`, or None.

        Somebody may have begun to write a file between the look at it and the end of the reading.
        """
        self.look()
        return self.whole or before is None or not before.whole


def stamp_of(status):
    """What changes when a file does, from its os.stat_result: (mtime in ns, size, inode)."""
    return status.st_mtime_ns, status.st_size, status.st_ino


def stamp(name):
    """The stamp of the file of this name; None if there is none."""
    try:
        return stamp_of(os.stat(name))
    except OSError:
        return None
