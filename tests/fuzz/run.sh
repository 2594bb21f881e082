#!/usr/bin/env bash
# Fuzzes every target for a while, from the corpus on, and prints how many inputs were tried.
set -euo pipefail

usage="usage: tests/fuzz/run.sh [SECONDS_EACH] [--minimise] [TARGET...]

  SECONDS_EACH  for each target, 20 by default; an hour or more finds more
  --minimise    take what was found on the way into the corpus, and what became needless out of it
  TARGET        session, decode, carve, base64, address; all of them by default

New inputs, and those that show a defect, are kept in \${QGA_FUZZ_DIR:-build/fuzz/found}."

seconds=20 minimise='' targets=()
for argument; do
  case $argument in
    --minimise) minimise=yes ;;
    session | decode | carve | base64 | address) targets+=("$argument") ;;
    *[!0-9]* | '') echo "$usage" >&2 && exit 2 ;;
    *) seconds=$argument ;;
  esac
done
((${#targets[@]})) || targets=(session decode carve base64 address)

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
install_packages clang libclang-rt-dev g++ cmake ninja-build git ca-certificates libasio-dev \
  nlohmann-json3-dev catch2
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz

found=${QGA_FUZZ_DIR:-build/fuzz/found}
total=0 status=0
for target in "${targets[@]}"; do
  program=build/fuzz/tests/fuzz/fuzz_$target corpus=tests/fuzz/corpus/$target new=$found/$target
  mkdir -p "$new"
  seeds=()
  [[ ! -d tests/fuzz/seeds/$target ]] || seeds=("tests/fuzz/seeds/$target")
  # Short inputs show as much as long ones. Entropic schedules cost most of the time here.
  ASAN_OPTIONS=detect_leaks=1 "$program" -max_total_time="$seconds" -max_len=600 -timeout=10 \
    -entropic=0 -print_final_stats=1 -artifact_prefix="$found/$target-" "$new" "$corpus" "${seeds[@]}" \
    >"$found/$target.log" 2>&1 || {
    status=1
    echo "fuzz $target: a defect, see $found/$target.log"
    grep -E -m 3 'does not hold|ERROR|Test unit' "$found/$target.log" || true
  }
  executions=$(sed -n 's/^stat::number_of_executed_units: //p' "$found/$target.log")
  echo "fuzz $target: ${executions:-0} executions in $seconds s"
  total=$((total + ${executions:-0}))
  if [[ -n $minimise ]]; then
    rm -rf "$corpus.new" && mkdir "$corpus.new"
    "$program" -set_cover_merge=1 -max_len=600 "$corpus.new" "$corpus" "$new" >/dev/null 2>&1
    rm -rf "$corpus" && mv "$corpus.new" "$corpus"
  fi
done
echo "fuzz: $total executions in all, in $(awk "BEGIN { printf \"%.2f\", ${#targets[@]} * $seconds / 3600 }") hours"
exit "$status"
