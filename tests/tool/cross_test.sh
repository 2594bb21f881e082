#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# cross_test.sh SOURCES TOOL COMPILER [BUILD]: builds the tool for another machine, which cannot run
# it. TOOL is a tool for this machine. With BUILD it is built, where there is a compiler for another
# machine; otherwise it is only configured, and COMPILER stands for one.
set -euo pipefail

sources=$1 tool=$2 compiler=$3 build=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

other=$(command -v aarch64-linux-gnu-g++ || true)
if [[ -n $build && -z $other ]]; then
  echo 'skipped: the tool for another machine is only configured: no g++-aarch64-linux-gnu'
  build=''
fi
[[ -z $build ]] || compiler=$other
cat >"$work/toolchain.cmake" <<END
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER "$compiler")
END

# configure ARGS...: sets `said`, and `commands` to what a build of the tool would run.
configure() {
  said=$(cmake -G Ninja -S "$sources" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG=-g0 -DCMAKE_TOOLCHAIN_FILE="$work/toolchain.cmake" \
    -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 -DQGA_BUILD_TESTS=OFF -DQGA_BUILD_EXAMPLES=OFF -DQGA_INSTALL_TOOL=ON "$@" 2>&1) ||
    fail "cannot configure: $said"
  commands=$(ninja -C "$work/build" -t commands qga_tool)
}
# install_tool: sets `there` to what is installed of the tool.
install_tool() {
  rm -rf "${work:?}/usr"
  cmake --install "$work/build" --component tool --prefix "$work/usr" >"$work/log" 2>&1 ||
    fail "cannot install: $(cat "$work/log")"
  there=$(cd "$work/usr" && find . -type f | sort | tr '\n' ' ')
}

configure
grep -q 'manual page and the completions are left out' <<<"$said" || fail "not said: $said"
! grep -q -- '--man' <<<"$commands" || fail "runs the tool: $commands"
if [[ -n $build ]]; then
  cmake --build "$work/build" --target qga_tool >"$work/log" 2>&1 ||
    fail "cannot build: $(tail -n 20 "$work/log")"
  install_tool
  [[ $there == './bin/qga ' ]] || fail "installed: $there"
  # The machine, in the header of an ELF file: 183 is AArch64.
  [[ $(od -An -t u2 -j 18 -N 2 "$work/usr/bin/qga" | tr -d ' ') == 183 ]] || fail 'not for AArch64'
fi

configure -DQGA_HOST_TOOL="$tool"
! grep -q 'left out, because' <<<"$said" || fail "said: $said"
grep -q -- "$tool --man" <<<"$commands" || fail "the manual page is not written: $commands"
if [[ -n $build ]]; then
  cmake --build "$work/build" --target qga_tool >"$work/log" 2>&1 ||
    fail "cannot build: $(tail -n 20 "$work/log")"
  install_tool
  cmp "$work/usr/share/man/man1/qga.1" <("$tool" --man) || fail 'another manual page'
  for file in bash-completion/completions/qga zsh/site-functions/_qga \
    fish/vendor_completions.d/qga.fish; do
    [[ -s $work/usr/share/$file ]] || fail "not installed: $file"
  done
fi
echo "built for another machine: ${build:-no, only configured}"
