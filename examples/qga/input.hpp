// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the tool reads: stdin and files, so that Ctrl-C ends the wait for them, and passwords.
#pragma once

#include <cstddef>
#include <streambuf>
#include <string>
#include <vector>

#include "stop.hpp"

namespace qga_tool {

/// All there is. @throws std::runtime_error where it is more than `longest`, or cannot be read
std::string read_stdin(const Stop& stop, std::size_t longest);
/// A file, or stdin where `name` is `-` or empty.
std::string read_file_or_stdin(const Stop& stop, const std::string& name, std::size_t longest);

/// For a stream over stdin.
class StdinBuffer : public std::streambuf {
 public:
  explicit StdinBuffer(const Stop& stop) : stop_(stop) {}

 protected:
  int_type underflow() override;

 private:
  const Stop& stop_;
  std::string piece_;
};

/// The lines of a text that are neither blank nor comments.
std::vector<std::string> lines_of(const std::string& text);

/// From a terminal: asked for twice, and not shown. Otherwise the only line of `name` or stdin.
std::string read_password(Stop& stop, const std::string& name);

}  // namespace qga_tool
