// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The version of the library. CMakeLists.txt reads it here, and a test compares it with the name of
// the inline namespace that every header opens.
#pragma once

#include <string_view>

/// @name Version
/// The three numbers of the version, for the preprocessor. docs/packages.md says what they promise.
/// @{
#define QGA_VERSION_MAJOR 0
#define QGA_VERSION_MINOR 1
#define QGA_VERSION_PATCH 0
/// @}

// These two make one string literal of the three numbers.
#define QGA_DETAIL_TEXT(number) #number
#define QGA_DETAIL_VERSION(major, minor, patch) \
  QGA_DETAIL_TEXT(major) "." QGA_DETAIL_TEXT(minor) "." QGA_DETAIL_TEXT(patch)

namespace qga::inline v0_1 {

/// The version of the library as text, such as "1.2.3".
inline constexpr std::string_view version =
    QGA_DETAIL_VERSION(QGA_VERSION_MAJOR, QGA_VERSION_MINOR, QGA_VERSION_PATCH);

}  // namespace qga::inline v0_1

#undef QGA_DETAIL_VERSION
#undef QGA_DETAIL_TEXT
