#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Measures metrics, with agents that do no harm.
# Usage: metrics.sh TOOL [OPTIONS of metrics.py]
set -euo pipefail

here=$(dirname "$0")
# shellcheck source=tests/support/setup.sh
source "$here/../support/setup.sh"
exec "$here/metrics.py" --block "${blocked_commands:?}" "$@"
