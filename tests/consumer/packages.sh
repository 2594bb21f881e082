#!/usr/bin/env bash
# packages.sh BUILD COMPILER: makes the Debian packages of the build directory BUILD, looks at them
# with lintian, installs them in a directory, has two users' projects take the library in from there,
# runs the tool, and removes the packages again. It changes nothing on this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) compiler=$2

has() { command -v "$1" >/dev/null; }
fail() {
  echo "failed: $*" >&2
  exit 1
}
for program in cpack dpkg-deb dpkg-shlibdeps pkg-config; do
  has "$program" && continue
  echo "skipped: the Debian packages: $program is not installed"
  exit 77
done
# dpkg looks for programs there.
export PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
components=dev
if [[ -x $build/examples/qga/qga ]]; then
  components+=';tool'
else
  echo "skipped: the package qga-tools: $build has no tool"
fi
cpack --config "$build/CPackConfig.cmake" -B "$work/made" -D "CPACK_COMPONENTS_ALL=$components" \
  >"$work/log" 2>&1 || { cat "$work/log" && fail "cpack"; }
mapfile -t packages < <(find "$work/made" -maxdepth 1 -name '*.deb' | sort)
dev=${packages[0]} tool=${packages[1]:-}
names=()
for package in "${packages[@]}"; do names+=("$(dpkg-deb --field "$package" Package)"); done
version=$(dpkg-deb --field "$dev" Version)
version=${version%-*}

# field PACKAGE FIELD VALUE: fails unless the field has that text in it.
field() {
  local value
  value=$(dpkg-deb --field "$1" "$2")
  [[ $value == *"$3"* ]] || fail "$2 of $1 is '$value', without '$3'"
}
field "$dev" Package libqga-dev
field "$dev" Architecture all
field "$dev" Depends 'libasio-dev (>= 1:1.22.1), nlohmann-json3-dev (>= 3.11)'
if [[ -n $tool ]]; then
  field "$tool" Package qga-tools
  field "$tool" Architecture "$(dpkg --print-architecture)"
  # A static tool depends on nothing.
  has ldd && ldd "$build/examples/qga/qga" >/dev/null 2>&1 && field "$tool" Depends 'libc6 (>='
fi

if has lintian; then
  options=(--fail-on 'error,warning')
  ((EUID)) || options+=(--allow-root)
  lintian "${options[@]}" "${packages[@]}" || fail "lintian"
else
  echo "skipped: lintian of the packages: it is not installed"
fi
if has apt-get; then
  apt-get --simulate --quiet install "${packages[@]}" >"$work/log" 2>&1 ||
    { cat "$work/log" && fail "apt-get cannot install what the packages depend on"; }
fi

# Into a directory with a database of its own. Packages of that database are none, so that the
# dependencies are forced.
root=$work/root usr=$work/root/usr
as_root=()
if ((EUID)); then
  as_root=(fakeroot)
  has fakeroot || as_root=(false)
fi
in_root() { "${as_root[@]}" dpkg --root="$root" --force-depends --log=/dev/null "$@" >>"$work/log" 2>&1; }
mkdir -p "$root/var/lib/dpkg/"{info,updates}
touch "$root/var/lib/dpkg/"{status,available}
if [[ ${as_root[*]} == false ]]; then
  echo "skipped: installing and removing the packages by dpkg: not root, and no fakeroot; unpacked"
  for package in "${packages[@]}"; do dpkg-deb --extract "$package" "$root"; done
else
  in_root --install "${packages[@]}" || { cat "$work/log" && fail "dpkg --install"; }
fi

echo "A project that uses pkg-config:"
"$here/pkg_config.sh" "$compiler" "$usr/share/pkgconfig" "$work/by_pkg_config" "$version"
echo "A project that uses find_package:"
{
  cmake -S "$here/find_package" -B "$work/by_cmake" "-DCMAKE_PREFIX_PATH=$usr" \
    "-DCMAKE_CXX_COMPILER=$compiler" "-DQGA_EXPECTED_VERSION=$version" &&
    cmake --build "$work/by_cmake"
} >"$work/log" 2>&1 || { cat "$work/log" && fail "find_package"; }
"$work/by_cmake/consumer"
if [[ -n $tool ]]; then
  [[ $("$usr/bin/qga" --version) == "qga $version" ]] || fail "the tool says another version"
  gzip -dc "$usr/share/man/man1/qga.1.gz" | grep -q '^\.SH NAME' || fail "the manual page"
  bash -n "$usr/share/bash-completion/completions/qga" || fail "the completion"
  grep -q '^#compdef qga' "$usr/share/zsh/site-functions/_qga" || fail "the completion for zsh"
  grep -q '^complete -c qga ' "$usr/share/fish/vendor_completions.d/qga.fish" ||
    fail "the completion for fish"
fi

if [[ ${as_root[*]} != false ]]; then
  in_root --purge "${names[@]}" || { cat "$work/log" && fail "dpkg --purge"; }
  [[ ! -e $usr ]] || fail "these are left after removing the packages: $(find "$usr")"
fi
echo "${#packages[@]} packages are as they should be"
