#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Counts the instructions of a call under callgrind, as the difference between many calls and few.
set -euo pipefail

usage="usage: tests/bench/instructions.sh BENCH_COUNTS [--check] [--json FILE]

  --check      more than the limits, and a tenth, is an error
  --json FILE  writes them there, too"

program='' check='' json=''
while (($#)); do
  case $1 in
    --check) check=yes ;;
    --json) shift && json=${1:?$usage} ;;
    -h | --help) echo "$usage" && exit ;;
    *) program=$1 ;;
  esac
  shift
done
[[ -n $program ]] || { echo "$usage" >&2 && exit 2; }

command -v valgrind >/dev/null || {
  echo "skipped: no valgrind here"
  exit 77
}

# shellcheck source=tests/support/setup.sh
source "$(dirname "$0")/../support/setup.sh"
results=$(mktemp -d)
trap 'stop_agent; rm -rf "$results"' EXIT
start_agent

# As g++ 12 and Asio 1.22 have them in preset default; of info, for each command that it lists.
declare -A limits=([ping blocking]=3770 [ping async]=6660 [info blocking]=1900)

# instructions_of CALLS COMMAND HOW: sets total, and elements, of which the reply has that many.
instructions_of() {
  elements=$(valgrind --quiet --tool=callgrind --callgrind-out-file="$results/out" \
    "$program" --calls "$@" "$agent_socket")
  total=$(sed -n 's/^totals: //p' "$results/out")
}

status=0
lines=()
printf '%-26s %14s %14s\n' 'instructions' 'a call' 'an element'
for what in 'ping blocking' 'ping async' 'info blocking'; do
  read -r command how <<<"$what"
  calls=1000
  [[ $command == ping ]] || calls=100 # of a hundred times the instructions
  instructions_of 100 "$command" "$how"
  few=$total
  instructions_of "$((100 + calls))" "$command" "$how"
  each=$(((total - few) / calls))
  printf '%-26s %14d %14d\n' "guest-$what" "$each" "$((each / elements))"
  lines+=("\"guest-$what\": {\"instructions\": $each, \"elements\": $elements}")
  if [[ -n $check ]] && ((each * 10 > limits[$what] * elements * 11)); then
    echo "  too many: the limit is ${limits[$what]} an element, and a tenth"
    status=1
  fi
done
if [[ -n $json ]]; then
  (IFS=, && echo "[{\"title\": \"instructions, per call\", \"figures\": {${lines[*]}}}]") >"$json"
fi
exit "$status"
