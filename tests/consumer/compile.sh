#!/usr/bin/env bash
# compile.sh COMPILER SOURCE PROGRAM FLAG...: compiles a user's program without CMake, and runs it.
set -euo pipefail
compiler=$1 source=$2 program=$3
shift 3
"$compiler" -std=c++20 "$source" "$@" -o "$program"
"$program"
