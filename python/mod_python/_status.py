"""`mod_python status <httpd.conf>`: is the server of this configuration running, and how is it?"""

import os
import re
import subprocess
import time

from mod_python import version


class Process:
    """What /proc tells of one process. FileNotFoundError when it is gone."""

    def __init__(self, pid):
        self.pid = pid
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stat:
            # The name in parentheses may hold anything, so the rest is found from its end.
            fields = stat.read().rpartition(")")[2].split()
        self.parent = int(fields[1])
        self.threads = int(fields[17])
        self.started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        self.memory = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

    def age(self):
        """Seconds since it started."""
        with open("/proc/uptime", encoding="ascii") as uptime:
            return float(uptime.read().split()[0]) - self.started

    def module(self):
        """The mod_python.so it has mapped; None if it has none, "?" if we may not look."""
        try:
            with open("/proc/%d/maps" % self.pid, encoding="utf-8", errors="replace") as maps:
                found = re.search(r"(/\S*mod_python\.so\S*)", maps.read())
        except PermissionError:
            return "?"
        return found.group(1) if found else None


def processes():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield Process(int(name))
            except (FileNotFoundError, ProcessLookupError):
                pass


def pid_file_of(conf):
    """Where the server writes its process id: httpd reads its own configuration and tells."""
    done = subprocess.run(
        [version.HTTPD, "-t", "-D", "DUMP_RUN_CFG", "-f", conf],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    found = re.search(r'^PidFile: "(.*)"$', done.stdout, re.MULTILINE)
    return (found.group(1) if found else None), done.stdout.strip()


def human_time(seconds):
    hours, rest = divmod(int(seconds), 3600)
    return "%dh%02dm%02ds" % (hours, rest // 60, rest % 60)


def report(conf):
    """Print what is known; returns 0 when it runs, 3 when not (as service scripts do)."""
    pid_file, said = pid_file_of(conf)
    if pid_file is None:
        print("httpd does not accept %s:\n%s" % (conf, said))
        return 4
    try:
        with open(pid_file, encoding="ascii") as pid:
            server = Process(int(pid.read()))
    except FileNotFoundError:
        print("not running (%s)" % pid_file)
        return 3
    except (OSError, ValueError) as error:
        print("%s cannot be used: %s" % (pid_file, error))
        return 4
    children = [process for process in processes() if process.parent == server.pid]
    module = server.module()
    print(
        "running since %s"
        % time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - server.age()))
    )
    print("httpd        pid %d, up %s" % (server.pid, human_time(server.age())))
    print("mod_python   %s" % ("not loaded" if module is None else module))
    for child in sorted(children, key=lambda process: process.pid):
        print(
            "child        pid %d, %d threads, %d MiB, up %s"
            % (child.pid, child.threads, child.memory >> 20, human_time(child.age()))
        )
    return 0
