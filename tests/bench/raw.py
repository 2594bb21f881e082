#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The second yardstick: what a plain socket and the json module of Python take.

usage: raw.py SOCKET COMMAND CALLS; prints microseconds per call, as JSON
"""
import json
import socket
import statistics
import sys
import time


def main():
    path, command, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(path)
    request = json.dumps({"execute": command, "id": 1738137421}).encode() + b"\n"

    def call():
        agent.sendall(request)
        reply = b""
        while not reply.endswith(b"\n"):
            piece = agent.recv(65536)
            if not piece:
                sys.exit("the agent hung up")
            reply += piece
        return json.loads(reply)

    if "error" in call():
        sys.exit("the agent refuses " + command)
    laps = []
    cpu = time.process_time_ns()
    last = time.perf_counter_ns()
    for _ in range(calls):
        call()
        now = time.perf_counter_ns()
        laps.append(now - last)
        last = now
    cpu = time.process_time_ns() - cpu
    print(json.dumps({"latency": statistics.median(laps) / 1e3, "cpu": cpu / calls / 1e3}))


main()
