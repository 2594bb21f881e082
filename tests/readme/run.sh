#!/usr/bin/env bash
# run.sh PROGRAMS NAME: runs a program of the pages against a real agent, which it starts and ends.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

if [[ -z ${QGA_AGENT:-} ]] && ! PATH=$PATH:/usr/sbin:/sbin command -v qemu-ga >/dev/null; then
  echo "skipped: no qemu-ga is installed"
  exit 77
fi
trap stop_agent EXIT
start_agent
directory=$(mktemp -d) # what the program writes
trap 'stop_agent; rm -rf "$directory"' EXIT
cd "$directory"
timeout 60 "$1" "$2" "$agent_socket" </dev/null
