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

trap stop_agents EXIT
start_agents "$count"
tests/bench/metrics.py "$tool" "$agents_sockets/*.sock" "${agents_pids[@]}" "${@:3}"
