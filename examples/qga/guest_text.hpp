// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes what is shown of what a program of the guest writes, piece by piece: the guest's encoding
// becomes UTF-8, and what goes to a terminal is escaped. A character may be cut between two pieces.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <iconv.h>

namespace qga_tool {

/// Converts text from one encoding to another, piece by piece.
class Converter {
 public:
  /// @param replacement what stands for bytes that are no text in `from`, in `to`
  /// @throws UsageError there is no such encoding
  Converter(const std::string& from, const std::string& to, std::string replacement);

  /// Converts a piece. The beginning of a character waits for its end.
  std::string add(std::string_view piece);
  /// What is there where no piece follows.
  std::string finish();
  /// Whether there were bytes that are no text.
  bool replaced() const { return replaced_; }

 private:
  struct Close {
    void operator()(void* converter) const { ::iconv_close(converter); }
  };

  std::unique_ptr<void, Close> converter_;
  std::string replacement_;
  std::size_t unit_ = 1;  ///< bytes of the shortest character
  std::string held_;
  bool replaced_ = false;
};

/// The text of one output of a program.
class GuestText {
 public:
  /// @param escaped whether control characters are escaped
  /// @param encoding of the guest; empty: the bytes stay as they are
  /// @throws UsageError there is no such encoding
  GuestText(bool escaped, const std::string& encoding);

  std::string add(std::string_view piece);
  std::string finish();

 private:
  std::string show(std::string text, bool last);

  bool escaped_;
  std::unique_ptr<Converter> converter_;
  std::string held_;  ///< the beginning of a character
};

/// What `powershell.exe -EncodedCommand` takes: UTF-16LE in base64.
/// @throws UsageError the line is not UTF-8
std::string encoded_command(const std::string& line);

}  // namespace qga_tool
