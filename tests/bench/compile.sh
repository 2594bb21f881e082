#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What it takes to compile the library into a program, over the Asio and JSON headers that it needs.
set -euo pipefail

usage="usage: tests/bench/compile.sh [--rounds N] [--json FILE]

  CXX: the compiler, g++ by default"

rounds=5 json=''
while (($#)); do
  case $1 in
    --rounds) shift && rounds=${1:?$usage} ;;
    --json) shift && json=${1:?$usage} ;;
    -h | --help) echo "$usage" && exit ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
  shift
done

cd "$(dirname "$0")/../.."
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT

{
  grep -rhoE '^#include <(asio|nlohmann)/.*>' include/qga | sort -u
  echo 'int main() {}'
} >"$sources/baseline.cpp"

printf '#include <qga/client.hpp>\nint main() {}\n' >"$sources/header.cpp"

cat >"$sources/one.cpp" <<'END'
#include <qga/client.hpp>
int main(int, char** argv) {
  qga::Client ga(argv[1]);
  ga.ping();
}
END

# Every request with its defaults: each method does no more than to make one.
{
  echo '#include <qga/client.hpp>'
  echo 'int main(int, char** argv) {'
  echo '  qga::Client ga(argv[1]);'
  grep -rhoE '^(struct|using) Guest\w+Request\b' include/qga/commands |
    sed -E 's/\w+ (.*)/  static_cast<void>(ga.execute(qga::\1()));/'
  echo '}'
} >"$sources/all.cpp"
commands=$(grep -c 'ga.execute' "$sources/all.cpp")

programs=(baseline header one all)
declare -A names=([baseline]='Asio and nlohmann/json' [header]='the header, unused'
  [one]='one command' [all]="$commands commands")
declare -A size
TIMEFORMAT=%U
for ((round = 0; round < rounds; ++round)); do
  for program in "${programs[@]}"; do
    { time "${CXX:-g++}" -std=c++20 -O0 -DASIO_STANDALONE -Iinclude -c "$sources/$program.cpp" \
      -o "$sources/$program.o"; } 2>>"$sources/$program.times"
    size[$program]=$(size -B "$sources/$program.o" | awk 'NR == 2 { print $1 + $2 + $3 }')
  done
done

# median FILE: of its numbers, one on a line.
median() { sort -n "$1" | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'; }

lines=()
printf '%s -O0, %d rounds in turn\n' "$("${CXX:-g++}" --version | head -n 1)" "$rounds"
printf '%-26s %12s %8s %14s\n' '' 'user time, s' 'ratio' 'object, bytes'
for program in "${programs[@]}"; do
  seconds=$(median "$sources/$program.times")
  paste "$sources/$program.times" "$sources/baseline.times" |
    awk '{ printf "%.3f\n", $1 / $2 }' >"$sources/$program.ratios"
  ratio=$(median "$sources/$program.ratios")
  printf '%-26s %12.2f %8.3f %14d\n' "${names[$program]}" "$seconds" "$ratio" "${size[$program]}"
  lines+=("\"${names[$program]}\": {\"seconds\": $seconds, \"ratio\": $ratio, \"bytes\": ${size[$program]}}")
done
if [[ -n $json ]]; then
  (IFS=, && echo "[{\"title\": \"compiling\", \"rounds\": $rounds, \"figures\": {${lines[*]}}}]") >"$json"
fi
