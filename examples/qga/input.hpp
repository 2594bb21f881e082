// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads stdin, files and passwords. Ctrl-C ends the wait for stdin.
#pragma once

#include <cstddef>
#include <streambuf>
#include <string>
#include <vector>

#include "stop.hpp"

namespace qga_tool {

/// Reads stdin to its end.
/// @throws std::runtime_error where it has more than `longest` bytes, or cannot be read
std::string read_stdin(const Stop& stop, std::size_t longest);
/// Reads a file, or stdin where `name` is `-` or empty. Throws as `read_stdin` does.
std::string read_file_or_stdin(const Stop& stop, const std::string& name, std::size_t longest);

/// The buffer of a stream over stdin.
class StdinBuffer : public std::streambuf {
 public:
  explicit StdinBuffer(const Stop& stop) : stop_(stop) {}

 protected:
  int_type underflow() override;

 private:
  const Stop& stop_;
  std::string piece_;
};

/// The lines of a text, without blank lines and comments.
std::vector<std::string> lines_of(const std::string& text);

/// Asks for a password twice on a terminal, without showing it. Otherwise reads it from `name` or
/// from stdin, which must be one line.
std::string read_password(Stop& stop, const std::string& name);

}  // namespace qga_tool
