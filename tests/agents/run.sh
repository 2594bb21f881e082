#!/usr/bin/env bash
# Runs the tests that need an agent with agents of other ages; started by tests/run.sh --agents.
set -euo pipefail

usage="usage: tests/run.sh --agents [--brief] [newest | SUITE...]

Fetches the agents of Debian's suites (see tests/agents/fetch.sh), or those of SUITE..., or the
newest one alone. For each, runs the agent tests against it on this machine, where what would do harm
is blocked, and the live tests with it in the guest. Then prints what came of each command:

  passed   the live tests of this command have passed
  absent   the agent does not know the command, and refused it
  refused  the agent knows the command, and refuses it in a guest like this
  FAILED, NOT TESTED  what must not be

  --brief  of the live tests only those of the commands"

brief='' names=()
for argument; do
  case $argument in
    --brief) brief=yes ;;
    newest) names=(--newest) ;;
    -h | --help) echo "$usage" && exit ;;
    -*) echo "$usage" >&2 && exit 2 ;;
    *) names+=("$argument") ;;
  esac
done

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh
# shellcheck source=tests/vm/build.sh
source tests/vm/build.sh # for vm_packages

install_packages g++ cmake ninja-build git ca-certificates libasio-dev nlohmann-json3-dev catch2 \
  debian-archive-keyring "${vm_packages[@]}"
cmake --preset default -DQGA_BUILD_VM_TESTS=yes
cmake --build --preset default --target agent_tests vm_tests

# The agents run as nobody, who may not be allowed where this directory is.
work=$(mktemp -d /tmp/qga-agents.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$work"

listing=$(tests/agents/fetch.sh build/agents "${names[@]}" 2>"$work/notes") || {
  cat "$work/notes" >&2
  exit 1
}
cat "$work/notes"
[[ -n $listing ]] || { echo "No agent could be had" >&2 && exit 1; }

# The tool is not built for this: the agent makes no difference to what it adds.
except='^vm\.(tool|freeze_many)$'
[[ -z $brief ]] || except='^vm\.(tool|freeze_many|helpers|life)$'
logs=build/default/Testing/Temporary
results=()

# test_with VERSION: runs the tests; writes a table of what came of each command, and what was skipped.
test_with() {
  local failed='' kind result
  export QGA_AGENT=$work/$1/qemu-ga QGA_TEST_RESULTS=$work/$1.results
  rm -f "$logs/LastTestsFailed.log"
  # As in tests/run.sh: many only wait for a deadline, and what fails is tried once more.
  ctest --preset default --parallel 5 --label-regex '^(agent|vm)$' --exclude-regex "$except" \
    --repeat until-pass:2 || failed=yes
  for kind in agent vm; do
    result=passed
    # A run that failed without a test that did has not run.
    if [[ -n $failed ]] && { [[ ! -s $logs/LastTestsFailed.log ]] || grep -q ":$kind\." "$logs/LastTestsFailed.log"; }; then
      result=FAILED
    fi
    printf 'tests: %s\t%s\n' "$kind" "$result" >>"$QGA_TEST_RESULTS"
  done
  sed -n -E "s/^ *(skipped: .*)/$1: \\1/p" "$logs/LastTest.log" | sort -u >>"$work/notes"
  results+=("$QGA_TEST_RESULTS")
}

while read -r version suite agent; do
  if [[ -e $work/$version ]]; then
    echo "skipped: the agent of $suite: it is $version, too" >>"$work/notes"
    continue
  fi
  cp -r "${agent%/*}" "$work/$version"
  echo "The agent $version of $suite"
  test_with "$version" </dev/null
done < <(sort -V <<<"$listing")

status=0
awk -F '\t' '
  FNR == 1 {
    versions[++columns] = FILENAME
    gsub(/.*\/|\.results$/, "", versions[columns])
  }
  { rows[$1]; cells[$1, columns] = $2 }
  END {
    printf "\n%-36s", "What came of each command"
    for (i = 1; i <= columns; ++i) printf "%-12s", versions[i]
    print ""
    fflush() # before the lines that sort prints
    for (row in rows) {
      line = sprintf("%-36s", row)
      for (i = 1; i <= columns; ++i) {
        cell = (row, i) in cells ? cells[row, i] : "NOT TESTED"
        if (cell !~ /^(passed|absent|refused)$/) failed = 1
        line = line sprintf("%-12s", cell)
      }
      print line | "LC_ALL=C sort"
    }
    close("LC_ALL=C sort")
    exit failed
  }' "${results[@]}" || status=1
cat "$work/notes"
exit "$status"
