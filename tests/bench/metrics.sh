#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Measures what `qga PATTERN metrics --listen` costs this machine, and a look the guests, with idle real
# agents. Exits with 1 where it takes more of a processor than it may.
# Usage: metrics.sh TOOL [COUNT] [OPTIONS of metrics.py]
set -euo pipefail

tool=$(realpath "$1") count=${2:-200}
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

dirs=() pids=() sockets=$(mktemp -d)
end_agents() {
  kill "${pids[@]}" 2>/dev/null || true
  wait "${pids[@]}" 2>/dev/null || true
  rm -rf "$sockets" "${dirs[@]}"
}
trap end_agents EXIT
for ((i = 0; i < count; i++)); do
  start_agent
  dirs+=("$agent_dir") pids+=("$agent_pid")
  ln -s "$agent_socket" "$sockets/vm$(printf %04d "$i").sock"
done
tests/bench/metrics.py "$tool" "$sockets/*.sock" "${pids[@]}" "${@:3}"
