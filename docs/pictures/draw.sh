#!/usr/bin/env bash
# Draws each NAME.dot as NAME.svg, which is committed: a forge shows it, and the build of the pages
# needs no graphviz. With --check, only says which picture is older than its source.
set -euo pipefail
cd "$(dirname "$0")"

status=0
for source in *.dot; do
  picture=${source%.dot}.svg
  note="<!-- drawn from $source, SHA-256 $(sha256sum <"$source" | cut -d ' ' -f 1) -->"
  if [[ ${1:-} != --check ]]; then
    { dot -Tsvg "$source" | sed '/^<!-- .* -->$/d; /^<!-- Generated/,/-->/d' && echo "$note"; } >"$picture"
  elif ! grep -qxF -- "$note" "$picture"; then
    echo "$picture is not drawn from $source as it is: run docs/pictures/draw.sh" >&2
    status=1
  fi
done
exit "$status"
