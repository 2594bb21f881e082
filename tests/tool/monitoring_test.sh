#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Checks the settings for Prometheus in docs/monitoring.md.
# Usage: monitoring_test.sh PAGE
set -euo pipefail

page=$1
command -v promtool >/dev/null || {
  echo "promtool is missing: install prometheus"
  exit 77
}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# block KEY: the block of YAML that begins with this key.
block() {
  awk -v key="$1:" '/^```/ { inside = 0 } inside == 1 { inside = $0 == key ? 2 : 0 }
    inside == 2 { print } /^```yaml$/ { inside = 1 }' "$page"
}

block scrape_configs >"$directory/prometheus.yml"
block groups >"$directory/rules.yml"
promtool check config "$directory/prometheus.yml"
promtool check rules "$directory/rules.yml" | tee "$directory/found"
grep -q "SUCCESS: [1-9]" "$directory/found"

# The rules name metrics and labels that there are.
grep -o 'qga_[a-z0-9_]*' "$directory/rules.yml" | sort -u | while read -r metric; do
  grep -qF "\"$metric\"" "$(dirname "$0")/../../examples/qga/metrics/figures.cpp" || {
    echo "qga has no metric $metric"
    exit 1
  }
done
