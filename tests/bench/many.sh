#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Measures `qga PATTERN info` of many real agents on this machine. It may take 1.3 times as long as
# the slowest `qga SOCKET info` and 2 ms more for each guest; exits with 1 where it takes longer.
# Usage: many.sh TOOL [COUNT]
set -euo pipefail

tool=$(realpath "$1") count=${2:-50}
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

trap stop_agents EXIT
start_agents "$count"

# took COMMAND...: how many microseconds it takes.
took() {
  local begun=${EPOCHREALTIME/./}
  "$@" >/dev/null || exit 1
  echo $((${EPOCHREALTIME/./} - begun))
}

slowest=0
for socket in "$agents_sockets"/*.sock; do
  time=$(took "$tool" "$socket" info) || exit 1
  ((time <= slowest)) || slowest=$time
done
all=$(for _ in {1..5}; do took "$tool" "$agents_sockets/*.sock" info; done | sort -n | sed -n 3p)
limit=$((slowest * 13 / 10 + count * 2000))

echo "qga PATTERN info of $count guests: $((all / 1000)) ms, of at most $((limit / 1000)) ms;" \
  "the slowest alone: $((slowest / 1000)) ms"
((all <= limit))
