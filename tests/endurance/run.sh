#!/usr/bin/env bash
# The tests that take too long for every day: several threads under the thread sanitizer, every fault
# at every byte through sockets, valgrind, and a long soak.
set -euo pipefail

usage="usage: tests/endurance/run.sh [COMMANDS]

Runs the tests against a real agent on three threads under the thread sanitizer, all unit tests under
valgrind, every fault of the cut tests at every byte, and COMMANDS commands (1000000) against agents
that are killed now and then. About two hours."

case ${1:-} in
  -h | --help) echo "$usage" && exit ;;
esac
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
install_packages g++ clang libclang-rt-dev cmake ninja-build git ca-certificates libasio-dev \
  nlohmann-json3-dev catch2 qemu-guest-agent valgrind

cmake --preset clang-thread
cmake --build --preset clang-thread --target agent_tests faults_tests soak
QGA_TEST_THREADS=3 ctest --preset clang-thread --label-regex 'agent|faults|endurance'

cmake --preset default
cmake --build --preset default --target unit_tests cut_tests soak
valgrind --quiet --error-exitcode=99 --leak-check=full build/default/tests/unit_tests
QGA_TEST_EVERY_BYTE=1 build/default/tests/cut_tests
build/default/tests/soak "${1:-1000000}"
