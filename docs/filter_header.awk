#!/usr/bin/awk -f
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What Doxygen reads instead of a header; it is run on each of them. The number of a line stays.
#
# - The inline namespace of the version goes: Doxygen 1.9.4 does not know `namespace qga::inline v`.
# - What users do not call goes: `detail`, field tables, wire_names, friends (comparisons among them),
#   constructors that are defaulted, what is "for the library's own use".
# - What means the same in each of the 46 requests gets the same comment.

# A comment waits for the line that it is about, and goes with it.
/^ *\/\/\// { held = held (held_lines++ ? "\n" : "") $0; next }

# One line, or all lines up to the one that closes its braces.
function drop(line) {
  while (held_lines > 0) { print ""; --held_lines }
  held = ""
  depth += gsub(/\{/, "{", line) - gsub(/\}/, "}", line)
  dropping = depth > 0 || line !~ /[;}] *(\/\/.*)?$/
  print ""
}
function drop_all_of(line) { depth = 0; drop(line) }

function show(line) {
  if (held_lines) print held
  held = ""
  held_lines = 0
  print line
}

# Puts a comment in front of a member that has none.
function describe(line, text) {
  if (!held_lines && line !~ /\/\/\/</) line = "/** " text " */ " line
  show(line)
}

dropping { drop($0); next }

/^namespace qga::inline [a-z0-9_]+::detail / || /^namespace detail \{/ { drop_all_of($0); next }
/^namespace qga::inline / { sub(/qga::inline [a-z0-9_]+/, "qga"); show($0); next }

/^ *static void fields\(/ || /^constexpr std::array.* wire_names\(/ ||
/^ *friend / || /^ *[A-Za-z]+\(\) = default;/ { drop_all_of($0); next }
held ~ /\/\/\/ For the library's own use/ || /template <class Result, template <class> class/ {
  drop_all_of($0)
  next
}

# Doxygen takes a deduction guide for a function.
/^[A-Za-z]+\(.*\) *-> *[A-Za-z]+<.*>;/ { drop_all_of($0); next }

!held_lines && /= default;$/ { drop_all_of($0); next }

/^struct .*Request( |$)/ { in_request = 1 }
/^};/ { in_request = 0 }
in_request && /^  using Reply = / { describe($0, "What `execute` gives for it."); next }
in_request && /static constexpr std::string_view command/ { describe($0, "The name on the wire."); next }
in_request && /^  (explicit )?(Basic)?Guest[A-Za-z]*Request\(/ {
  describe($0, "Makes a request; the members describe the arguments.")
  next
}
in_request && / timeout\(\) const/ { describe($0, "How long it may take where the caller does not say."); next }
in_request && / limits\(\) const/ { describe($0, "The bounds of its reply."); next }
in_request && / has_effect\(\) const/ { describe($0, "Whether it changes the guest."); next }

{ show($0) }
