#!/usr/bin/env bash
# static_test.sh [TOOL]: runs the statically linked tool (built by the preset `static`, where none is
# named) in a root directory that holds nothing but the tool, against a real agent.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

tool=${1:-}
if [[ -z $tool ]]; then
  install_packages g++ cmake ninja-build libasio-dev nlohmann-json3-dev libcli11-dev libboost-dev \
    libncurses-dev qemu-guest-agent
  cmake --preset static
  cmake --build --preset static
  tool=build/static/examples/qga/qga
fi
if ldd "$tool" >/dev/null 2>&1; then
  echo "failed: $tool needs shared libraries:" >&2
  ldd "$tool" >&2
  exit 1
fi

in_root=(chroot)
((EUID == 0)) || in_root=(unshare --map-root-user chroot)
if ! "${in_root[@]}" / true 2>/dev/null; then
  echo "skipped: the static tool in an empty root: this user may not change the root directory"
  exit 77
fi
trap stop_agent EXIT
start_agent
cp "$tool" "$agent_dir/qga"
echo "the root has: $(cd "$agent_dir" && find . -type f | sort | tr '\n' ' ')"
"${in_root[@]}" "$agent_dir" /qga --version
"${in_root[@]}" "$agent_dir" /qga /qga.sock info
# Addresses in numbers need nothing from the system either. Nobody listens there.
status=0
"${in_root[@]}" "$agent_dir" /qga tcp:127.0.0.1:1 status || status=$?
((status == 3)) || { echo "failed: the exit code is $status instead of 3" >&2 && exit 1; }
echo "the static tool runs without any other file"
