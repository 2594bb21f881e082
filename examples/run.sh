#!/usr/bin/env bash
# Builds the examples and runs them in order against a real guest agent.
set -euo pipefail

usage="usage: examples/run.sh [SOCKET | --vm]

Builds the examples and runs them in order against the guest agent on the UNIX socket SOCKET, which
must have no other client. Without SOCKET, starts an agent on this machine, with every command
blocked that could harm it, and ends it again. With --vm, boots a virtual machine for it instead.

  QGA_EXAMPLES: a directory that has the examples built already"

vm=''
case ${1:-} in
  -h | --help) echo "$usage" && exit ;;
  --vm) vm=yes && shift ;;
  -*) echo "$usage" >&2 && exit 2 ;;
esac

socket=${1:+$(realpath "$1")}
[[ -z $socket || -S $socket ]] || { echo "no socket: $socket" >&2 && exit 2; }
cd "$(dirname "$0")/.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

if [[ $vm ]]; then
  # shellcheck disable=SC2016 # for the inner shell to expand
  tests/vm/run.sh -- bash -c 'exec examples/run.sh "$QGA_VM/agent.sock"'
  printf '\nTo keep such a VM running: tests/vm/run.sh, which prints where its socket is.\n'
  exit
fi

# git is for what the distribution has only in a version too old.
install_packages g++ cmake ninja-build git ca-certificates libasio-dev nlohmann-json3-dev \
  qemu-guest-agent libcli11-dev libboost-dev libarchive-dev libncurses-dev prometheus-cpp-dev
programs=${QGA_EXAMPLES:-}
if [[ -z $programs ]]; then
  echo "Building the examples"
  quietly cmake --preset examples
  cmake --build --preset examples
  programs=build/examples/examples
fi

if [[ -z $socket ]]; then
  trap stop_agent EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start_agent
  socket=$agent_socket
fi

for source in examples/[0-9][0-9]_*.cpp; do
  name=$(basename "$source" .cpp)
  printf '\n=== %s ===\n' "$name"
  timeout --foreground 60 "$programs/$name" "$socket" || {
    status=$?
    echo "examples/run.sh: $name failed with status $status" >&2
    exit 1
  }
done
