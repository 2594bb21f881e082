#!/usr/bin/env bash
# build.sh DIRECTORY: makes the target `docs` in a build of its own, as somebody does who wants only
# the pages.
set -euo pipefail
if ! command -v doxygen >/dev/null; then
  echo "skipped: Doxygen is not installed (doxygen, and its theme doxygen-awesome-css)"
  exit 77
fi
cmake -S "$(dirname "$0")/../.." -B "$1" -DQGA_BUILD_DOCS=ON -DQGA_BUILD_TESTS=OFF \
  -DQGA_BUILD_EXAMPLES=OFF -DQGA_BUILD_TOOL=OFF -DQGA_INSTALL=OFF
cmake --build "$1" --target docs
