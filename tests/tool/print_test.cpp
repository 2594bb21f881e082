// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What people read: escaped, in columns, in units that they can read.
#include "../../examples/qga/print.hpp"

#include <chrono>
#include <string>

#include "catch.hpp"

using namespace qga_tool;
using namespace std::string_literals;

TEST_CASE("text without harm stays as it is") {
  CHECK(shown("") == "");
  CHECK(shown("plain ~ text \\x1b") == "plain ~ text \\x1b");
  CHECK(shown("Grüße, 世界, 🐧, עברית") == "Grüße, 世界, 🐧, עברית");
  CHECK(shown("\u00A0\u0100\uFFFD\U00030000") == "\u00A0\u0100\uFFFD\U00030000");
}

TEST_CASE("control characters are escaped") {
  CHECK(shown("\x1b[31mred") == "\\x1b[31mred");
  CHECK(shown("a\nb\tc\r\x7F") == "a\\x0ab\\x09c\\x0d\\x7f");
  CHECK(shown("\0x"s) == "\\x00x");
  CHECK(shown("\u009b31m\u0080") == "\\u009b31m\\u0080");
}

TEST_CASE("programs keep their lines and tabs, and nothing else") {
  CHECK(shown_text("a\nb\tc\r\n\x1b") == "a\nb\tc\\x0d\n\\x1b");
}

TEST_CASE("what turns the direction of writing, or hides, is escaped") {
  CHECK(shown("\u202Etxt.exe") == "\\u202etxt.exe");
  CHECK(shown("\u2066\u2069\u200E\u200F\u061C\u2028\u2029") ==
        "\\u2066\\u2069\\u200e\\u200f\\u061c\\u2028\\u2029");
  CHECK(shown("\uFEFF\U000E0041") == "\\ufeff\\ue0041");
}

TEST_CASE("bytes that are no UTF-8 are escaped one by one") {
  CHECK(shown("\x9b"
              "31m") == "\\x9b31m");
  CHECK(shown("\xff\xfe") == "\\xff\\xfe");
  CHECK(shown("\xc3") == "\\xc3");
  CHECK(shown("\xc3(") == "\\xc3(");
  CHECK(shown("\xc0\x9b") == "\\xc0\\x9b");                    // overlong
  CHECK(shown("\xe0\x82\x9b") == "\\xe0\\x82\\x9b");           // overlong
  CHECK(shown("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(shown("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  CHECK(shown("\xf0\x9f\x90") == "\\xf0\\x9f\\x90");           // cut
}

TEST_CASE("sizes, times and parts are readable") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text((1 << 20) - 1) == "1.0 MiB");
  CHECK(size_text(1536 << 20) == "1.5 GiB");
  CHECK(size_text(~std::uint64_t(0)) == "16.0 EiB");
  CHECK(rate_text(1536) == "1.5 KiB/s");
  CHECK(rate_text(1e30) == "867361737988.4 EiB/s");
  CHECK(percent_text(1, 3) == "33.3 %");
  CHECK(percent_text(0, 0) == "0.0 %");
  CHECK(seconds_text(std::chrono::milliseconds(1234)) == "1.23 s");
  CHECK(time_text(qga::GuestTime(std::chrono::nanoseconds(0))) == "1970-01-01 00:00:00 UTC");
  CHECK(time_text(qga::GuestTime(std::chrono::nanoseconds(-1))) == "1969-12-31 23:59:59 UTC");
}

TEST_CASE("a table lines up, and keeps every cell in its line") {
  Table table({"NAME", ">SIZE", "NOTE"});
  table.row({"ä", "1 B", "x"});
  table.row({"evil\n\x1b[2J", "10 KiB"});
  CHECK(table.text() ==
        "NAME               SIZE  NOTE\n"
        "ä                   1 B  x\n"
        "evil\\x0a\\x1b[2J  10 KiB\n");
  CHECK(Table().text() == "");
  CHECK_FALSE(table.empty());
  CHECK(Table().empty());
  CHECK(Table({"NAME"}).empty());
}
