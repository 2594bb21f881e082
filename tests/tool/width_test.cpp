// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which characters can be seen, and how wide they are: tables line up in every language.
#include "../../examples/qga/width.hpp"

#include <clocale>
#include <cstddef>
#include <cwchar>
#include <initializer_list>
#include <iostream>
#include <string>

#include "../../examples/qga/print.hpp"
#include "catch.hpp"

using namespace qga_tool;

TEST_CASE("wide characters take two columns, and combining ones none") {
  CHECK(width_of("") == 0);
  CHECK(width_of("plain") == 5);
  CHECK(width_of("Grüße") == 5);
  CHECK(width_of("世界") == 4);
  CHECK(width_of("ｶﾅ") == 2);  // half width
  CHECK(width_of("ＡＢ") == 4);
  CHECK(width_of("한국") == 4);
  CHECK(width_of("\u1112\u1161\u11AB") == 2);  // the same in parts
  CHECK(width_of("e\u0301") == 1);
  CHECK(width_of("\u0E19\u0E49\u0E33") == 2);
  CHECK(width_of("🐧") == 2);
  CHECK(width_of("עברית") == 5);
  CHECK(width_of("\U00020000") == 2);
  CHECK(width_of("a\xff") == 2);
}

TEST_CASE("a table lines up with wide and combining characters") {
  Table table({"NAME", ">SIZE", "NOTE"});
  table.row({"世界", "1 B", "x"});
  table.row({"e\u0301t\u00E9", "10 B", "y"});
  table.row({"a\u200Bb", "100 B", "z"});
  CHECK(table.text() ==
        "NAME       SIZE  NOTE\n"
        "世界        1 B  x\n"
        "e\u0301t\u00E9        10 B  y\n"
        "a\\u200bb  100 B  z\n");
}

TEST_CASE("characters that nobody sees are escaped") {
  for (const char32_t code : std::initializer_list<char32_t>{
           0x00AD,  0x034F,  0x115F,  0x1160,  0x17B4,  0x180B,  0x180E,  0x200B,
           0x200C,  0x200D,  0x2060,  0x2064,  0x206F,  0x2800,  0x3164,  0xE000,
           0xFDD0,  0xFE00,  0xFE0F,  0xFEFF,  0xFFA0,  0xFFF0,  0xFFFE,  0xFFFF,
           0x1BCA0, 0x1D173, 0x1FFFE, 0x50000, 0xE0001, 0xE0100, 0xF0000, 0x10FFFF}) {
    CAPTURE(std::uint32_t(code));
    CHECK_FALSE(is_visible(code));
  }
  CHECK(shown("pass\u00ADword\u200B\uFE0F\u3164") == "pass\\u00adword\\u200b\\ufe0f\\u3164");
  for (const char32_t code :
       std::initializer_list<char32_t>{0x20, 0x7E, 0xA0, 0xE4, 0x301, 0x3000, 0x4E16, 0xAC00,
                                       0xFFFD, 0x1F427, 0x20000, 0x30000}) {
    CAPTURE(std::uint32_t(code));
    CHECK(is_visible(code));
  }
}

TEST_CASE("widths are those of the C library, but for characters that one of both does not know") {
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) {
    std::cout << "skipped: widths are not compared: this system has no locale C.UTF-8\n";
    return;
  }
  std::size_t known = 0;
  std::size_t different = 0;
  for (char32_t code = 0x20; code < 0x40000; ++code) {
    const int theirs = ::wcwidth(static_cast<wchar_t>(code));
    if (!is_visible(code) || theirs < 0) continue;
    ++known;
    if (theirs != static_cast<int>(columns_of(code))) ++different;
  }
  std::setlocale(LC_CTYPE, "C");
  CHECK(known > 100'000);
  CHECK(different < known / 500);
  std::cout << "widths: " << different << " of " << known << " are not those of the C library\n";
}
