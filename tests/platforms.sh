#!/usr/bin/env bash
# Tries the library on many platforms: compilers, standard libraries, systems, processors.
set -euo pipefail

usage="usage: tests/platforms.sh [--list | --page | [--quick | --no-unit] NAME...]

Tries the library on each platform NAME (all where none is named; --list shows them), prints a
table, and keeps it in build/platforms/table.md with the rows of earlier runs. A platform that
cannot be had is skipped, and the table says why. Nothing is installed but Debian's packages and,
below build/platforms, the npm package of zig.

  --quick      leaves out the unit tests and the tool, and keeps what the table says of them
  --no-unit    the same with the unit tests alone
  --page       puts the table of the latest results into docs/platforms.md, and tries nothing

  compiles     tests/platforms/client.cpp, a user's program: blocking, callbacks, future, coroutine
  unit tests   tests/unit
  agent tests  that program against a real agent on this machine
  tool         examples/qga is built, and asks that agent

Other systems' roots and packages are kept in build/platforms, about 4 GB. What was compiled is
compiled again only where a source has changed. QGA_NICE is how nice the compilers are (10)."

cd "$(dirname "$0")/.."
repo=$PWD
out=$repo/build/platforms
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
# shellcheck source=tests/support/suites.sh
source tests/support/suites.sh
# shellcheck source=tests/platforms/kit.sh
source tests/platforms/kit.sh
# shellcheck source=tests/platforms/rows.sh
source tests/platforms/rows.sh

names=() left_out=' '
for argument; do
  case $argument in
    -h | --help) echo "$usage" && exit ;;
    --list)
      for row in "${rows[@]}"; do printf '%-18s %s\n' "${row%%|*}" "${row#*|}"; done
      exit
      ;;
    --quick) left_out=' unit tool ' ;;
    --no-unit) left_out=' unit ' ;;
    --page) table >"$out/table.md" && page && exit ;;
    -*) echo "$usage" >&2 && exit 2 ;;
    *)
      title_of "$argument" >/dev/null || { echo "no platform $argument: see --list" >&2 && exit 2; }
      names+=("$argument")
      ;;
  esac
done
if ((${#names[@]} == 0)); then
  for row in "${rows[@]}"; do names+=("${row%%|*}"); done
fi

mkdir -p "$out/rows"
exec {lock}>"$out/.lock" # two at once would disturb each other
flock "$lock"
install_packages g++ libasio-dev nlohmann-json3-dev catch2 qemu-guest-agent \
  debian-archive-keyring

trap 'stop_agent' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
status=0
for name in "${names[@]}"; do
  run_row "$name" || status=1
done
table >"$out/table.md"
echo
cat "$out/table.md"
exit "$status"
