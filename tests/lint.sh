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

clang-format --dry-run -Werror "${sources[@]}"
shellcheck -x "${scripts[@]}"
# cppcheck 2.10 cannot read lambdas with template parameters, and leaves what includes them.
cppcheck --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
  --suppress=missingIncludeSystem --suppress=syntaxError --error-exitcode=1 --quiet -I include \
  include/qga examples tests/endurance tests/support
# One program that has all of the library; what headers hold is shown for every template that it uses.
clang-tidy --quiet examples/07_files.cpp examples/02_run_command.cpp -- \
  -std=c++20 -I include -DASIO_STANDALONE
