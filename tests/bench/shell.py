#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What a terminal in a guest costs: how long a typed key takes until it is seen again, and how much
# of a processor an open shell takes while nothing happens in it.
import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import sys
import termios
import time
from pathlib import Path

MOST_MILLISECONDS = 60
MOST_PERCENT = 1.0


class Shell:
    """The tool's shell on a terminal of its own."""

    def __init__(self, tool, socket):
        self.shown = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(tool, [tool, socket, "shell", "--", "sh", "-i"])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def await_text(self, text, seconds=60):
        """Waits until this is shown, behind what was awaited before."""
        until = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.terminal], [], [], until - time.monotonic())
            if not ready:
                sys.exit(f"the shell does not show {text!r}: {self.shown!r}")
            self.shown += os.read(self.terminal, 65536)
        self.shown = self.shown[self.shown.index(text) + len(text) :]

    def type(self, keys):
        os.write(self.terminal, keys)

    def end(self):
        self.type(b"\rexit\r")
        try:
            while os.read(self.terminal, 65536):
                pass
        except OSError:  # its other end is closed
            pass
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def processor_time(pid):
    """Seconds that a process has used of processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def key_times(shell, count):
    """Milliseconds from each key until it is seen again."""
    times = []
    for number in range(count):
        key = b"abcdefghij"[number % 10 : number % 10 + 1]
        time.sleep(0.08)
        start = time.monotonic()
        shell.type(key)
        shell.await_text(key)
        times.append((time.monotonic() - start) * 1e3)
    return times


def idle_cost(pids, seconds):
    """Percent of a processor that processes use."""
    before = [processor_time(pid) for pid in pids]
    time.sleep(seconds)
    return [100 * (processor_time(pid) - first) / seconds for pid, first in zip(pids, before)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool")
    parser.add_argument("socket")
    parser.add_argument("--guest", type=int, action="append", default=[], metavar="PID",
                        help="the process that the guest, or its agent, is on this machine")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30, help="how long nothing happens")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()

    alone = sum(idle_cost(options.guest, options.seconds))
    shell = Shell(options.tool, options.socket)
    shell.await_text(b"leaves")
    shell.type(b"PS1='ready> '\r")
    shell.await_text(b"\nready> ")
    times = key_times(shell, options.keys)
    time.sleep(5)  # until it looks as rarely as it does in the end
    tool, *guest = idle_cost([shell.pid, *options.guest], options.seconds)
    shell.end()

    median = statistics.median(times)
    result = {"key, median ms": median, "key, most ms": max(times), "tool, % of a processor": tool,
              "guest with a shell, %": sum(guest), "guest alone, %": alone}
    print("a shell in the guest")
    for name, value in result.items():
        print(f"  {name:<24} {value:8.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(result) + "\n")
    if median > MOST_MILLISECONDS or tool > MOST_PERCENT:
        sys.exit(f"missed: a key takes {MOST_MILLISECONDS} ms and an idle shell {MOST_PERCENT} % at most")


main()
