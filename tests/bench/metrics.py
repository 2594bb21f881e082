#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Scrapes `qga PATTERN metrics --listen`, and tells what that costs it and the agents. Exits with 1
# where it takes more of a processor than it may. metrics.sh starts it.
import argparse
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

INTERVAL = 5.0  # seconds between two scrapes
MOST = 0.02 / 200  # of a processor, for each guest


def ran(pid):
    """The seconds that all threads of a process have run."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def scrape(url):
    begun = time.monotonic()
    text = urllib.request.urlopen(url).read()
    return text, time.monotonic() - begun


def measure(tool, pattern, agents, scrapes):
    served = subprocess.Popen([tool, pattern, "metrics", "--listen", "127.0.0.1:0"],
                              stderr=subprocess.PIPE, text=True)
    try:
        url = served.stderr.readline().split()[-1]
        first = scrape(url)[1]
        tool_before, agents_before = ran(served.pid), sum(map(ran, agents))
        begun = time.monotonic()
        times = []
        for i in range(scrapes):
            time.sleep(max(0.0, begun + (i + 1) * INTERVAL - time.monotonic()))
            text, took = scrape(url)
            times.append(took)
        passed = time.monotonic() - begun
        ready = text.count(b'state="ready"} 1')
        if ready != len(agents):
            raise SystemExit(f"{ready} of {len(agents)} guests are ready")
        return {
            "guests": len(agents),
            "share": (ran(served.pid) - tool_before) / passed,
            "guest_seconds": (sum(map(ran, agents)) - agents_before) / scrapes / len(agents),
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
    parser.add_argument("pattern")
    parser.add_argument("agents", nargs="+", type=int, help="their process ids")
    parser.add_argument("--scrapes", type=int, default=12)
    parser.add_argument("--factor", type=float, default=1, help="how much more a slow build may take")
    parser.add_argument("--json", type=pathlib.Path, help="a file for the result")
    options = parser.parse_args()
    result = measure(options.tool, options.pattern, options.agents, options.scrapes)
    print(f"metrics of {result['guests']} guests, scraped every {INTERVAL:.0f} s: "
          f"{100 * result['share']:.2f} % of a processor, and {1000 * result['guest_seconds']:.2f} ms "
          f"of each guest's for a look; a scrape takes {1000 * result['median_seconds']:.0f} ms, the "
          f"first {1000 * result['first_seconds']:.0f} ms")
    if options.json:
        options.json.write_text(json.dumps(result))
    most = MOST * result["guests"] * options.factor
    if result["share"] > most:
        print(f"it may take {100 * most:.2f} %", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
