#!/usr/bin/env bash
# Builds the tests and runs them.
set -euo pipefail

usage="usage: tests/run.sh [--all] [--sanitize] [--clang] [--no-vm] [--build]
       tests/run.sh --threads [--build]
       tests/run.sh --agents [--help | ARGS...]

Without --all, builds and runs the tests that need not much time, which test each promise of the
README once. With it, everything.

  --sanitize  with the address and undefined sanitizers
  --clang     with clang instead of the system's compiler
  --no-vm     without the tests in a live virtual machine
  --build     builds the tests and runs none
  --threads   only what uses several threads, with clang and the thread sanitizer
  --agents    only what needs an agent, with agents of other ages"

if [[ ${1:-} == --agents ]]; then
  exec "$(dirname "$0")/agents/run.sh" "${@:2}"
fi

all='' sanitize='' clang='' vm=yes threads='' build=''
for argument; do
  case $argument in
    --all) all=yes ;;
    --sanitize) sanitize=sanitize ;;
    --clang) clang=clang ;;
    --no-vm) vm='' ;;
    --build) build=yes ;;
    --threads) threads=yes sanitize=thread clang=clang vm='' ;;
    -h | --help) echo "$usage" && exit ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
done
preset=$clang${clang:+${sanitize:+-}}$sanitize

cd "$(dirname "$0")/.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
# shellcheck source=tests/vm/build.sh
source tests/vm/build.sh # for vm_packages

packages=(g++ cmake ninja-build git ca-certificates libasio-dev nlohmann-json3-dev catch2
  qemu-guest-agent libcli11-dev libboost-dev libarchive-dev libncurses-dev prometheus-cpp-dev
  tmux groff-base)
[[ -z $all ]] || packages+=(valgrind pkg-config dpkg-dev lintian doxygen doxygen-awesome-css python3
  zsh fish g++-aarch64-linux-gnu prometheus)
[[ -z $vm ]] || packages+=("${vm_packages[@]}")
[[ -z $clang ]] || packages+=(clang)
[[ -z $clang || -z $sanitize ]] || packages+=(libclang-rt-dev)
install_packages "${packages[@]}"

quick=$([[ $all || $threads ]] && echo no || echo yes)
examples=$([[ $all && ! $sanitize ]] && echo yes || echo no)
cmake --preset "${preset:=default}" -DQGA_BUILD_VM_TESTS="${vm:-no}" -DQGA_QUICK_TESTS="$quick" \
  -DQGA_BUILD_EXAMPLES="$examples" -DQGA_BUILD_TOOL=yes
cmake --build --preset "$preset" ${threads:+--target threads_tests}
[[ -z $build ]] || exit 0
[[ -z $threads ]] || exec ctest --preset "$preset" --label-regex threads

# Some tests assert how time grows, and a busy machine disturbs them: what fails is tried once more.
# More at once than there are processors in a small machine: many only wait for a deadline.
status=0
ctest --preset "$preset" --parallel 5 --repeat until-pass:2 || status=$?
if [[ $quick == yes ]]; then
  echo 'These are the quick tests; --all runs every test.'
else
  log=build/$preset/Testing/Temporary/LastTest.log
  # The tables of the live tests, which are more than pass or fail.
  awk '/^The commands that the guest|^What happens to a guest/ { shown = 1 }
       /^<end of output>/ { shown = 0 } shown' "$log"
  echo 'What was tried:'
  figures='skipped|hostile inputs tried|fuzz inputs replayed|cut at positions|deadlines overrun|soak:'
  figures+='|keys:|log:|memory:'
  sed -n -E "s/^ *(($figures).*)/  \\1/p" "$log" | sort -u
fi
exit "$status"
