#!/usr/bin/env bash
# pkg_config.sh COMPILER DIRECTORY PROGRAM VERSION: compiles a user's program with what pkg-config
# says of the qga.pc in DIRECTORY, and runs it.
set -euo pipefail
compiler=$1 program=$3 version=$4
here=$(cd "$(dirname "$0")" && pwd)
export PKG_CONFIG_PATH=$2
if ! command -v pkg-config >/dev/null; then
  echo "skipped: the library by pkg-config: pkg-config is not installed"
  exit 77
fi
pkg-config --print-errors --exact-version="$version" qga
read -ra flags < <(pkg-config --cflags --libs qga)
echo "pkg-config says: ${flags[*]}"
"$here/compile.sh" "$compiler" "$here/small.cpp" "$program" "${flags[@]}"
