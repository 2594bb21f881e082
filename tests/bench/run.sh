#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Builds the benchmarks and runs them.
set -euo pipefail

usage="usage: tests/bench/run.sh [--quick] [--vm]

Measures calls, what they count, transfers, decoding and compiling, against a real agent on this
machine. Prints tables, and writes them to build/bench/results.json. Exits with 1 where watching a
fleet, or asking it by the tool, costs more than it may.

  --quick  one round of each, to see that they work
  --vm     calls and transfers in a live virtual machine, too"

vm='' quick='' missed=''
for argument; do
  case $argument in
    --quick) quick=yes ;;
    --vm) vm=yes ;;
    -h | --help) echo "$usage" && exit ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
done

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
install_packages g++ cmake ninja-build git ca-certificates libasio-dev nlohmann-json3-dev catch2 \
  qemu-guest-agent libbenchmark-dev valgrind python3 binutils libcli11-dev libboost-dev \
  prometheus-cpp-dev

quietly cmake --preset bench
mapfile -t benchmarks < <(cd tests/bench && printf 'bench_%s\n' *.cpp | sed 's/\.cpp$//')
cmake --build --preset bench --target "${benchmarks[@]}" qga_tool

programs=$PWD/build/bench/tests
parts=$PWD/build/bench/parts
rm -rf "$parts"
mkdir "$parts"
rounds() { [[ -z $quick ]] || echo --rounds 1; }
# shellcheck disable=SC2046 # rounds are two words, or none
measure() {
  local name=$1
  shift
  "$@" $(rounds) --json "$parts/$name.json"
}

measure calls "$programs/bench_calls"
echo
"$programs/bench_counts" --json "$parts/counts.json"
echo
tests/bench/instructions.sh "$programs/bench_counts" --json "$parts/instructions.json"
measure transfer "$programs/bench_transfer"
echo
"$programs/bench_decode" --benchmark_repetitions="$([[ -n $quick ]] && echo 1 || echo 9)" \
  --benchmark_enable_random_interleaving=true --benchmark_display_aggregates_only=true \
  --benchmark_out="$parts/decode.json" --benchmark_out_format=json
echo
measure compile tests/bench/compile.sh
echo
"$programs/bench_fleet" 100 --rounds "$([[ -n $quick ]] && echo 1 || echo 21)" \
  --json "$parts/fleet.json" || missed=yes
tests/bench/many.sh build/bench/examples/qga/qga 200 || missed=yes
echo
tests/bench/metrics.sh build/bench/examples/qga/qga 200 \
  --scrapes "$([[ -n $quick ]] && echo 2 || echo 12)" --json "$parts/metrics.json" || missed=yes
if [[ -n $vm ]]; then
  echo
  echo 'In a live VM:'
  # shellcheck disable=SC2016,SC2046 # QGA_VM is for the inner shell; rounds as above
  tests/vm/run.sh -- bash -euc 'programs=$1 parts=$2 && shift 2
    tests/bench/shell.py build/bench/examples/qga/qga "$QGA_VM/agent.sock" \
      --guest "$(<"$QGA_VM/pid")" --json "$parts/vm shell.json" || touch "$parts/missed"
    "$programs/bench_vm" "$@" --json "$parts/vm.json"
    "$programs/bench_calls" "$QGA_VM/agent.sock" "$@" --json "$parts/vm calls.json"
    "$programs/bench_transfer" "$QGA_VM/agent.sock" "$@" --json "$parts/vm transfer.json"' \
    vm "$programs" "$parts" $(rounds)
fi
[[ ! -e $parts/missed ]] || missed=yes

python3 - "$parts" build/bench/results.json <<'END'
import json, pathlib, sys
parts, results = map(pathlib.Path, sys.argv[1:])
together = {part.stem: json.loads(part.read_text()) for part in sorted(parts.glob("*.json"))}
results.write_text(json.dumps(together, indent=2) + "\n")
END
echo
echo 'All of this is in build/bench/results.json'
[[ -z $missed ]] || exit 1
