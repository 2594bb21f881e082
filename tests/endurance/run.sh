#!/usr/bin/env bash
# Looks for races and leaks: the asynchronous tests on several threads under the thread sanitizer,
# and a long soak.
set -euo pipefail

usage="usage: tests/endurance/run.sh [COMMANDS]

Runs the tests against a real agent on three threads under the thread sanitizer, then COMMANDS
commands (1000000) against agents that are killed now and then."

case ${1:-} in
  -h | --help) echo "$usage" && exit ;;
esac
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
install_packages g++ clang libclang-rt-dev cmake ninja-build git ca-certificates libasio-dev \
  nlohmann-json3-dev catch2 qemu-guest-agent

cmake --preset clang-thread
cmake --build --preset clang-thread --target agent_tests faults_tests soak
QGA_TEST_THREADS=3 ctest --preset clang-thread --label-regex 'agent|faults|endurance'

cmake --preset default
cmake --build --preset default --target soak
build/default/tests/soak "${1:-1000000}"
