#!/usr/bin/env bash
# Looks at the code without running it: its format, clang-tidy, cppcheck, shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/support/setup.sh
source tests/support/setup.sh

install_packages clang-format clang-tidy cppcheck shellcheck git libasio-dev nlohmann-json3-dev

mapfile -t sources < <(git ls-files '*.hpp' '*.cpp')
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
echo "Looking at ${#sources[@]} sources and ${#scripts[@]} scripts"

# One program that has all of the library; what headers hold is shown for every template that it
# uses. Beside the others, as it takes longest.
clang-tidy --quiet examples/07_files.cpp examples/02_run_command.cpp -- \
  -std=c++20 -I include -DASIO_STANDALONE &
tidy=$! status=0
clang-format --dry-run -Werror "${sources[@]}" || status=1
shellcheck -x "${scripts[@]}" || status=1
! git grep -n 'CLI::detail' -- examples || status=1 # which CLI11 may change at any time
# What cppcheck 2.10 cannot read (literals with a suffix), or misunderstands: that rethrow_exception
# does not return, that two requires-expressions differ, that one branch of ?: is taken, that the
# length of what is empty is not negative, that an if constexpr without else returns,
# that a coroutine and an error keep what they are given by value, that a function try block catches
# what a lambda throws, that a constructor in a nested namespace initialises its first member.
misunderstood=(syntaxError cppcheckError nullPointerRedundantCheck
  identicalConditionAfterEarlyExit accessMoved invalidFunctionArg missingReturn
  passedByValue throwInNoexceptFunction 'uninitMemberVar:examples/qga/top/*')
cppcheck --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
  --suppress=missingIncludeSystem "${misunderstood[@]/#/--suppress=}" --error-exitcode=1 --quiet \
  -I include include/qga examples tests/endurance tests/support || status=1
wait "$tidy" || status=1
exit "$status"
