#!/usr/bin/env bash
# Fetches the agents of Debian's suites, so that each runs on this machine whatever its system.
set -euo pipefail

suites=(bullseye bookworm trixie trixie-backports sid) # from old to new
usage="usage: tests/agents/fetch.sh OUT_DIR [--newest | SUITE...]

Makes OUT_DIR/SUITE of the package qemu-guest-agent and the libraries that it needs, for each SUITE
(${suites[*]} where none is named), and prints a line
\"VERSION SUITE OUT_DIR/SUITE/qemu-ga\" for each. A suite that cannot be had is skipped, and the
reason printed to standard error. What is up to date is not fetched again.

  --newest  only the newest that can be had

The packages come from the mirror that the system's own apt sources name, checked by the keys of
Debian's archive; the system's own package lists are not touched. OUT_DIR/SUITE/qemu-ga starts the
agent with the loader of its own suite; its directory works wherever it is copied to."

case ${1:-} in
  -h | --help) echo "$usage" && exit ;;
esac
newest=''
[[ ${2:-} != --newest || $# != 2 ]] || newest=yes
[[ $# -gt 0 && $1 != -* && (-n $newest || ${2:-} != -*) ]] || { echo "$usage" >&2 && exit 2; }

# shellcheck source=tests/support/suites.sh
source "$(dirname "$0")/../support/suites.sh"
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
if [[ -n $newest ]]; then
  mapfile -t suites < <(printf '%s\n' "${suites[@]}" | tac)
elif (($#)); then
  suites=("$@")
fi

# Fetches into the same place take turns.
exec {lock}>"$out/.lock"
flock "$lock"
new=$out/.new
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM HUP

# apt SUITE COMMAND...: apt-get with nothing in its sources but the suite.
apt() { suite_apt "$out/.apt/$1" "${@:2}"; }

# resolve SUITE: NAME=VERSION of the agent and of every library that it needs. To apt nothing is
# installed, so that it names them all.
resolve() {
  apt "$1" --simulate --target-release "$1" install qemu-guest-agent |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' | grep -E '^(lib|qemu-guest-agent=)' | grep -v perl
}

# unpack DIR TREE: the packages of DIR, with everything in TREE/usr, as newer suites have it.
unpack() {
  local package directory
  for directory in lib lib64 bin sbin; do
    mkdir -p "$2/usr/$directory"
    ln -s "usr/$directory" "$2/$directory"
  done
  for package in "$1"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
      tar -x -C "$2" --keep-directory-symlink --no-same-owner --exclude='./usr/share'
  done
}

# build SUITE: makes $new/agent of the packages that $new/stamp names.
build() {
  local tree=$new/tree lib=$new/agent/lib loader libraries
  mkdir -p "$new/packages" "$lib"
  (cd "$new/packages" && xargs env APT_CONFIG="$out/.apt/$1/conf" apt-get -qq download) <"$new/stamp"
  unpack "$new/packages" "$tree"
  cp "$(find "$tree/usr" -name qemu-ga -path '*bin/*')" "$lib/"
  loader=$(find "$tree/usr/lib" -name 'ld-linux*.so.*' | sed -n 1p)
  libraries=${loader%/*}
  "$loader" --inhibit-cache --library-path "$libraries" --list "$lib/qemu-ga" |
    sed -n "s|.*=> \($new/.*\) (.*|\1|p" | xargs cp -L -t "$lib"
  # Nobody names what the C library loads by itself, to look users up.
  cp -L -t "$lib" "$loader" "$libraries"/libnss_{files,compat}.so.2
  cat >"$new/agent/qemu-ga" <<'END'
#!/bin/sh
# Starts the agent with the libraries beside it.
lib=$(dirname "$(readlink -f "$0")")/lib
exec "$lib"/ld-linux*.so.* --inhibit-cache --library-path "$lib" "$lib/qemu-ga" "$@"
END
  chmod 755 "$new/agent/qemu-ga"
  mv "$new/stamp" "$new/agent/"
  "$new/agent/qemu-ga" --version | sed 's/.* //' >"$new/agent/version"
  [[ -s $new/agent/version ]]
}

# fetch SUITE: brings OUT_DIR/SUITE up to date. Where it fails, its output says why.
fetch() {
  configure_suite "$out/.apt/$1" "$1" "$uri"
  # Without the mirror, what has been fetched before is good enough.
  if ! apt "$1" update; then
    [[ -f $out/$1/version ]]
    return
  fi
  rm -rf "$new"
  mkdir -p "$new"
  resolve "$1" >"$new/stamp"
  if cmp -s "$new/stamp" "$out/$1/stamp"; then return; fi
  build "$1"
  rm -rf "${out:?}/$1"
  mv "$new/agent" "$out/$1"
}

uri=$(suite_mirror) || uri=''
log=$out/.log
for suite in "${suites[@]}"; do
  if [[ -z $uri ]]; then
    reason="the system's apt sources name no mirror of its own suite"
  elif [[ ! -f $archive_keyring ]]; then
    reason="it needs the keys of Debian's archive (package debian-archive-keyring)"
  else
    # In the background because errors end no function that an if calls.
    fetch "$suite" &>"$log" &
    if wait $!; then
      echo "$(<"$out/$suite/version") $suite $out/$suite/qemu-ga"
      [[ -z $newest ]] || break
      continue
    fi
    reason=$(grep '^E:' "$log" || tail -n 3 "$log")
  fi
  echo "skipped: the agent of $suite: ${reason//$'\n'/; }" >&2
done
