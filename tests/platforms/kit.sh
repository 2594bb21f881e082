# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # what the scripts share
# What the rows of tests/platforms.sh share: steps with a result, headers of a suite, roots of other
# suites, the agent. Sourced by it.

columns=(compiles unit agent tool)

# ---- rows ----------------------------------------------------------------------------------------

# title_of NAME: the description of a platform.
title_of() {
  local row
  for row in "${rows[@]}"; do
    [[ ${row%%|*} != "$1" ]] || { echo "${row#*|}" && return; }
  done
  return 1
}

# run_row NAME: tries a platform, prints what came of it, and keeps that for the table. False: a
# step failed.
run_row() {
  local name=$1 start=$SECONDS column said day seen
  declare -gA result=()
  reason='' row=$out/rows/$name cxx=() run=() libraries=()
  mkdir -p "$row"
  if [[ -f $row/result ]]; then
    IFS='|' read -r _ 'result[unit]' _ 'result[tool]' said _ day <"$row/result"
    for column in unit tool; do
      if [[ $left_out != *" $column "* || ${result[$column]} == skipped ]]; then
        unset "result[$column]"
      elif [[ ${result[$column]} != - ]]; then
        [[ $said =~ "$column: seen on "([0-9-]+) ]] && seen=${BASH_REMATCH[1]} || seen=$day
        remark "$column: seen on $seen"
      fi
    done
  fi
  "row_${name//[+.-]/_}" || true # what failed is in result
  for column in "${columns[@]}"; do printf '%s|' "${result[$column]:--}"; done >"$row/result"
  printf '%s|%s|%s\n' "$reason" "$((SECONDS - start))" "$(date -u +%F)" >>"$row/result"
  printf '%-18s' "$name"
  for column in "${columns[@]}"; do printf ' %s: %s ' "$column" "${result[$column]:--}"; done
  printf ' %d s%s\n' "$((SECONDS - start))" "${reason:+  ($reason)}"
  [[ ${result[*]:-} != *FAIL* ]]
}

# table: the results of all rows so far, as Markdown.
table() {
  local row name compiles unit agent tool said seconds day
  echo '| Platform | | Compiles | Unit tests | Agent tests | Tool | Remarks | Time | Tried |'
  echo '|---|---|---|---|---|---|---|---|---|'
  for row in "${rows[@]}"; do
    name=${row%%|*}
    [[ -f $out/rows/$name/result ]] || continue
    IFS='|' read -r compiles unit agent tool said seconds day <"$out/rows/$name/result"
    echo "| \`$name\` | ${row#*|} | $compiles | $unit | $agent | $tool | $said | $seconds s | $day |"
  done
}

# page: puts the table into docs/platforms.md.
page() {
  local text
  text=$(awk -v table="$out/table.md" '
    /^<!-- the table begins/ {
      print
      print ""
      while ((getline line < table) > 0) print line
      print ""
      dropping = 1
    }
    /^<!-- the table ends/ { dropping = 0 }
    !dropping && !/^<!-- the table begins/' docs/platforms.md)
  printf '%s\n' "$text" >docs/platforms.md
}

# skip REASON: ends a row that cannot be tried.
skip() {
  local column
  for column in "${columns[@]}"; do [[ -n ${result[$column]:-} ]] || result[$column]=skipped; done
  reason=$1
  return 1
}

# remark TEXT: for the table.
remark() { reason+=${reason:+; }$1; }

# step COLUMN COMMAND...: one step of a row. False where it fails; its output is shown then.
step() {
  local log=$row/$1.log
  if "${@:2}" &>"$log"; then
    result[$1]=yes
  else
    result[$1]=FAIL
    remark "see rows/${row##*/}/$1.log"
    echo "--- ${row##*/}: $1 failed; the end of $log:" >&2
    grep -m 5 -E 'error|FAILED|failed' "$log" >&2 || tail -n 5 "$log" >&2
    return 1
  fi
}

# ---- compiling -----------------------------------------------------------------------------------

# The compiler of a row, with its flags, and what goes before a program to run it.
cxx=() run=()
libraries=() # behind the sources
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)

# newer OUTPUT: whether a source of the library or in a directory of `inputs` changed since.
newer() {
  [[ ! -e $1 || -n $(find include tests/support "${inputs[@]}" \
    -newer "$1" -name '*.?pp' -print -quit) ]]
}

compile() { nice -n "${QGA_NICE:-10}" "${cxx[@]}" -DASIO_STANDALONE -pthread "$@"; }

# build OUTPUT SOURCE...: links a program of the sources, compiled one after the other. The flags
# are in extra, the directories of the sources in inputs, and the headers that all sources but
# main.cpp include in common. Objects of an earlier run whose sources are gone are not linked.
build() {
  local output=$1 objects=$1.objects source object flags=() linked=()
  newer "$output" || return 0
  mkdir -p "$objects"
  if ((${#common[@]})); then
    rm -f "$objects/common.hpp.gch" # clang would take it for one of the new file
    printf '#include %s\n' "${common[@]}" >"$objects/common.hpp"
    # The same time always: zig gives back what it compiled before, which knows the time of its source.
    touch --date=@1 "$objects/common.hpp"
    compile "${extra[@]}" -Iinclude -x c++-header "$objects/common.hpp" \
      -o "$objects/common.hpp.gch" || return
    flags=(-include "$objects/common.hpp")
  fi
  for source in "${@:2}"; do
    object=$objects/${source//\//_}.o
    linked+=("$object")
    newer "$object" || continue
    [[ $source != */support/main.cpp ]] || flags=()
    compile "${warnings[@]}" "${extra[@]}" -Iinclude "${flags[@]}" -c "$source" \
      -o "$object" || return
  done
  compile "${linked[@]}" -o "$output" "${libraries[@]}"
}

# try_client: compiles the user's program and runs it against the agent.
try_client() {
  local extra=(-O0) common=() inputs=(tests/platforms)
  step compiles build "$row/client" tests/platforms/client.cpp || return
  step agent with_agent "$row/client" || return
  local skipped
  skipped=$(sed -n 's/^skipped: //p' "$row/agent.log" | paste -sd ';')
  [[ -z $skipped ]] || remark "without ${skipped//;/; }"
  result[agent]=$(sed -n 's/^\([0-9]* passed\), 0 failed/\1/p' "$row/agent.log")
}

# try_unit: compiles and runs the unit tests, apart from those tagged long, which take minutes.
try_unit() {
  [[ $left_out != *' unit '* ]] || return 0
  local common=('<nlohmann/json.hpp>' '"catch.hpp"') inputs=(tests/unit)
  local extra=(-O0 -g0 -Itests/support "-DQGA_TEST_DATA=\"$repo/tests/data\""
    "-DQGA_TEST_HOSTILE_INPUTS=\"$repo/tests/hostile/inputs\"")
  step unit build "$row/unit" tests/unit/*.cpp tests/support/main.cpp || return
  step unit "${run[@]}" "$row/unit" '~[long]' || return
  result[unit]=$(number_of_tests "$row/unit.log")' passed'
}

# try_agent_tests: compiles tests/agent and runs it, apart from what takes minutes (long) and what an
# emulator stands in the way of (native).
try_agent_tests() {
  [[ $left_out != *' unit '* ]] || return 0
  local common=('<nlohmann/json.hpp>' '"catch.hpp"' '"ways.hpp"') inputs=(tests/agent)
  local extra=(-O0 -g0 -Itests/support "-DQGA_TEST_DATA=\"$repo/tests/data\"")
  step agent build "$row/agent" tests/agent/*.cpp tests/support/main.cpp || return
  step agent "${run[@]}" "$row/agent" '~[long]~[native]' || return
  result[agent]=$(number_of_tests "$row/agent.log")' passed'
}

# number_of_tests LOG: how many passed, by Catch2 2 or 3.
number_of_tests() {
  grep -o -E '[0-9]+ test cases|in [0-9]+ test cases' "$1" | tail -n 1 | tr -dc 0-9
}

# try_tool: builds the tool, and asks the agent with it. Its sources are compiled as one, because
# most of the time goes into the headers; so a name may be that of another file.
try_tool() {
  [[ $left_out != *' tool '* ]] || return 0
  local extra=(-O0 -g0 -Wno-shadow "-DQGA_TOOL_VERSION=\"0\"") common=() inputs=(examples/qga)
  printf "#include \"$repo/%s\"\n" examples/qga/*.cpp \
    examples/qga/top/{line,pictures,pictures_of_many,row,watchers}.cpp >"$row/tool.cpp.new"
  cmp -s "$row/tool.cpp.new" "$row/tool.cpp" || mv "$row/tool.cpp.new" "$row/tool.cpp"
  step tool build "$row/qga" "$row/tool.cpp" || return
  step tool with_agent "$row/qga" info || return
}

# with_agent PROGRAM ARGS...: runs PROGRAM SOCKET ARGS... against a real agent of this machine.
with_agent() {
  local status=0
  start_agent || return
  timeout --foreground 300 "${run[@]}" "$1" "$agent_socket" "${@:2}" || status=$?
  stop_agent
  agent_dir=''
  return "$status"
}

# ---- other suites --------------------------------------------------------------------------------

# suite_reason: why no suite can be had; nothing where they can.
suite_reason() {
  if ! command -v apt-get >/dev/null; then
    echo 'it needs apt-get'
  elif [[ -z $(suite_mirror) ]]; then
    echo "the system's apt sources name no mirror of its own suite"
  fi
}

# headers SUITE PACKAGE...: unpacks packages that hold headers only, and prints the directory of
# their headers.
headers() {
  local suite=$1 state=$out/apt/$1 tree=$out/headers/$1 package
  mkdir -p "$tree/.packages"
  for package in "${@:2}"; do
    [[ ! -e $tree/.packages/$package ]] || continue
    if [[ -z $(compgen -G "$state/lists/*Packages*") ]]; then
      configure_suite "$state" "$suite" "$(suite_mirror)"
      # A mirror that has stood still is good enough: what it has is signed all the same.
      suite_apt "$state" -o Acquire::Check-Valid-Until=false update >&2 || return
    fi
    (cd "$tree/.packages" && rm -f "${package}"_*.deb &&
      suite_apt "$state" download "$package" >&2) || return
    dpkg -x "$tree/.packages/$package"_*.deb "$tree"
    touch "$tree/.packages/$package"
  done
  echo "$tree/usr/include"
}

# need_root SUITE PACKAGE...: an unpacked root of its own of a suite, with packages installed in it.
# "${in_root[@]}" before a command runs it there, where it sees the sources, the results and /tmp of
# this machine; the mounts end with the command. Skips the row where the root cannot be had.
need_root() {
  local suite=$1 root=$out/root.$1 missing name why
  # shellcheck disable=SC2016 # for the inner shell to expand
  in_root=(unshare --mount bash -c 'mkdir -p "$1$2" && mount --rbind "$2" "$1$2" &&
    mount --rbind /tmp "$1/tmp" && mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" &&
    exec chroot "$1" sh -c "cd \"\$1\" && shift && exec \"\$@\"" sh "${@:2}"' bash "$root" "$repo")
  ((EUID == 0)) || { skip 'a root of its own needs root' && return; }
  why=$(suite_reason)
  [[ -z $why ]] || { skip "$why" && return; }
  if [[ ! -e $root/.ready ]]; then
    install_packages debootstrap || { skip 'debootstrap cannot be installed' && return; }
    mkdir -p "$out/debs"
    rm -rf "$root"
    quietly nice debootstrap --variant=minbase --cache-dir="$out/debs" "$suite" "$root" \
      "$(suite_mirror)" || { skip "debootstrap failed for $suite" && return; }
    touch "$root/.ready"
  fi
  missing=()
  for name in "${@:2}"; do
    dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Status}' "$name" 2>/dev/null |
      grep -q ' ok installed$' || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  echo "Installing ${missing[*]} in $root"
  # Where the lists cannot be updated, as those of a mirror that has stood still, debootstrap's do.
  chroot "$root" apt-get update &>"$row/update.log" || true
  quietly chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install --yes \
    --no-install-recommends "${missing[@]}" || skip "no ${missing[*]} in $suite"
}
