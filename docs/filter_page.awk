#!/usr/bin/awk -f
# SPDX-License-Identifier: LGPL-3.0-or-later
#
# What Doxygen reads instead of a page, which is written for a forge; it is run on each of them.
#
# - The title gets the name of the file as its id, and a table of contents below it; the other
#   headings get the anchors of a forge.
# - Links to other pages, to headings and to examples become those of the generated pages. Links to
#   other files of the repository become plain text.
# - A picture becomes an <img> with its text, which Doxygen would print below it.
# - What index.md links becomes its subpages, in this order.
# - Fences keep the languages that Doxygen can colour.

BEGIN {
  stem = ARGV[1]
  sub(/.*\//, "", stem)
  sub(/\.md$/, "", stem)
  directory = ARGV[1]
  if (!sub(/\/[^\/]*$/, "", directory)) directory = "."
}

/^ *(```|~~~)/ {
  fenced = !fenced
  if (fenced) {
    if ($0 ~ /```(cpp|c\+\+)/) {
      sub(/```(cpp|c\+\+).*/, "```cpp")
    } else if ($0 !~ /```xml/) {
      sub(/[a-z].*/, "")
    }
  }
  print
  next
}
fenced || /^    / { print; next }

/^# / && stem == "index" { print with_id($0, "mainpage"); next }
/^# / { print with_id($0, stem) "\n[TOC]"; next }
/^## / && stem == "index" { print "<h2>" substr($0, 4) "</h2>"; next }  # not in the tree of pages
/^##+ / { print links(with_id($0, stem "_" anchor_of($0))); next }
/^!\[.*\]\(pictures\/.*\)$/ { print picture($0); next }
{ print links($0) }

function with_id(heading, id) {
  sub(/ *\{#[^}]*\} *$/, "", heading)
  gsub(/`/, "", heading)  # which Doxygen shows as <tt>
  return heading " {#" id "}"
}

# The anchor that a forge gives to a heading.
function anchor_of(heading) {
  sub(/^#+ */, "", heading)
  sub(/ *\{#[^}]*\} *$/, "", heading)
  gsub(/\]\([^)]*\)/, "", heading)
  heading = tolower(heading)
  gsub(/[^a-z0-9 _-]/, "", heading)
  gsub(/ /, "-", heading)
  return heading
}

function picture(line,    text, file) {
  text = file = line
  sub(/^!\[/, "", text)
  sub(/\]\(pictures\/.*$/, "", text)
  gsub(/"/, "\\&quot;", text)
  sub(/^.*\]\(pictures\//, "", file)
  sub(/\)$/, "", file)
  return "@htmlonly <div class=\"image\"><img src=\"" file "\" alt=\"" text "\"/></div> @endhtmlonly"
}

# Links that are over at the end of the line; the rest is joined with the next line.
function links(line,    done, text, target, start) {
  line = begun line
  begun = ""
  done = ""
  while (match(line, /\[[^][]*\]\([^() ]*\)/)) {
    start = RSTART
    text = target = substr(line, start + 1, RLENGTH - 2)
    sub(/\]\(.*/, "", text)
    sub(/.*\]\(/, "", target)
    done = done substr(line, 1, start - 1) link(text, target)
    line = substr(line, start + RLENGTH)
  }
  if (line ~ /\[[^]]*$/ && line !~ /^ *$/) {
    begun = done line " "
    getline
    if ($0 !~ /^ *$/) return links($0)
    line = begun
    begun = ""
    return line "\n"
  }
  return done line
}

function link(text, target,    page, heading, unused) {
  if (target ~ /^\.\.\/examples\/[a-z0-9_]*\.cpp$/) return "[" text "](" substr(target, 13) ")"
  if (target ~ /^\.\.\//) return text
  if (target ~ /^#/) target = stem ".md" target
  if (target !~ /^[a-z_]*\.md(#.*)?$/) return "[" text "](" target ")"
  page = heading = target
  sub(/\.md.*/, "", page)
  if (!sub(/^[^#]*#/, "", heading)) heading = ""
  if ((getline unused < (directory "/" page ".md")) < 0) {
    gsub(/`/, "", text)
    return "<a href=\"" page ".html\">" text "</a>"  # a dead link, which the check reports
  }
  close(directory "/" page ".md")
  gsub(/`/, "", text)
  if (heading != "") return "[" text "](@ref " page "_" heading ")"
  if (stem == "index" && !(page in listed)) {
    listed[page]
    return "@subpage " page " \"" text "\""
  }
  return "[" text "](@ref " page ")"
}
