// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The characters of a text in UTF-8: which of them can be seen, and how many columns of a terminal
// they take. It does not depend on the user's locale, so that a table is the same everywhere.
#pragma once

#include <cstddef>
#include <string_view>

namespace qga_tool {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  ///< 0: these bytes are not UTF-8
};

/// The first character of a text that is not empty. Overlong forms, surrogates and codes beyond
/// Unicode are not UTF-8.
Character first_character(std::string_view text);

/// Whether people can see it, or see that it is a space. Control characters, characters that change
/// the direction of writing, characters that fonts ignore, and codes without a character are not
/// visible.
bool is_visible(char32_t code);

/// How many columns a visible character takes: 0 where it is drawn over the one before, 2 where it
/// is wide, and otherwise 1.
std::size_t columns_of(char32_t code);

/// How many columns a text without invisible characters takes.
std::size_t width_of(std::string_view text);

}  // namespace qga_tool
