#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Measures what `qga PATTERN metrics --listen` costs the host, and a look each guest, with idle real
# agents. Exits with 1 where it takes more of a processor than it may.
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

INTERVAL = 5.0  # seconds between two scrapes
MOST = 0.02 / 200  # of a processor, for each guest


def ran(pid):
    """The seconds that all threads of a process have run."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def start_agents(directory, count, blocked):
    """Harmless agents, as start_agent of tests/support/setup.sh makes one."""
    agent = os.environ.get("QGA_AGENT") or shutil.which("qemu-ga", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    is_root = os.geteuid() == 0
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if is_root else []
    agents = []
    for i in range(count):
        own = directory / str(i)
        (own / "state").mkdir(parents=True)
        if is_root:
            shutil.chown(own, "nobody")
            shutil.chown(own / "state", "nobody")
        agents.append(subprocess.Popen(
            as_nobody + [agent, "-m", "unix-listen", "-p", own / "qga.sock", "-t", own / "state",
                         "-f", own / "pid", "-l", own / "log", "-b", blocked],
            cwd=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until = time.monotonic() + 60
    while any(not (directory / str(i) / "qga.sock").exists() for i in range(count)):
        if time.monotonic() > until:
            raise SystemExit("the agents did not start")
        time.sleep(0.05)
    return agents


def scrape(url):
    begun = time.monotonic()
    text = urllib.request.urlopen(url).read()
    return text, time.monotonic() - begun


def measure(tool, directory, agents, scrapes):
    served = subprocess.Popen([tool, f"{directory}/*/qga.sock", "metrics", "--listen", "127.0.0.1:0"],
                              stderr=subprocess.PIPE, text=True)
    try:
        url = served.stderr.readline().split()[-1]
        first = scrape(url)[1]
        tool_before, guests_before = ran(served.pid), sum(ran(agent.pid) for agent in agents)
        begun = time.monotonic()
        times = []
        for i in range(scrapes):
            time.sleep(max(0.0, begun + (i + 1) * INTERVAL - time.monotonic()))
            text, took = scrape(url)
            times.append(took)
        passed = time.monotonic() - begun
        looks = scrapes * len(agents)
        up = text.count(b'state="ready"} 1')
        if up != len(agents):
            raise SystemExit(f"{up} of {len(agents)} guests are ready")
        return {
            "guests": len(agents),
            "share": (ran(served.pid) - tool_before) / passed,
            "guest_seconds": (sum(ran(agent.pid) for agent in agents) - guests_before) / looks,
            "first_seconds": first,
            "median_seconds": sorted(times)[len(times) // 2],
            "bytes": len(text),
        }
    finally:
        served.terminate()
        served.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--block", required=True, help="the commands that the agents must not have")
    parser.add_argument("--guests", type=int, default=200)
    parser.add_argument("--scrapes", type=int, default=12)
    parser.add_argument("--json")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    agents = []
    try:
        agents = start_agents(directory, options.guests, options.block)
        result = measure(options.tool, directory, agents, options.scrapes)
    finally:
        for agent in agents:
            agent.terminate()
        for agent in agents:
            agent.wait()
        shutil.rmtree(directory)
    print(f"metrics of {result['guests']} guests, scraped every {INTERVAL:.0f} s: "
          f"{100 * result['share']:.2f} % of a processor, and {1000 * result['guest_seconds']:.2f} ms "
          f"of each guest's for a look; a scrape takes {1000 * result['median_seconds']:.0f} ms, the "
          f"first {1000 * result['first_seconds']:.0f} ms")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result))
    most = MOST * options.guests
    if result["share"] > most:
        print(f"it may take {100 * most:.2f} %", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
