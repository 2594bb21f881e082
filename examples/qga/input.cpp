// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads stdin in pieces, and before each waits for input or for a signal that ends the tool.
#include "input.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <termios.h>

#include "tool.hpp"

namespace qga_tool {

namespace {

constexpr std::size_t longest_password = 4096;

/// Reads some bytes; returns none at the end of stdin.
std::string read_some(const Stop& stop) {
  if (stop.wait(STDIN_FILENO) == Stop::Woken::stopped) throw InterruptedError();
  std::array<char, 16 << 10> buffer;
  const ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (size < 0) throw std::system_error(errno, std::system_category(), "cannot read stdin");
  return {buffer.data(), static_cast<std::size_t>(size)};
}

[[noreturn]] void too_long(std::size_t longest) {
  throw std::runtime_error("the input must have " + std::to_string(longest) + " bytes or fewer");
}

/// Turns off the echo of a terminal while one of these lives.
class NoEcho {
 public:
  explicit NoEcho(Stop& stop) : tidy_(stop) {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~NoEcho() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  Stop::TidyUp tidy_;
  termios before_{};
};

/// Removes the line end, which is not a part of a password.
std::string only_line(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.find('\n') != std::string::npos) throw std::runtime_error("a password must be one line");
  return text;
}

std::string ask(const Stop& stop, const char* prompt) {
  std::cerr << prompt << std::flush;
  // A terminal gives whole lines; a line without an end is the end of stdin.
  const std::string line = read_some(stop);
  std::cerr << '\n';
  return only_line(line);
}

}  // namespace

StdinBuffer::int_type StdinBuffer::underflow() {
  piece_ = read_some(stop_);
  setg(piece_.data(), piece_.data(), piece_.data() + piece_.size());
  return piece_.empty() ? traits_type::eof() : traits_type::to_int_type(piece_.front());
}

std::string read_stdin(const Stop& stop, std::size_t longest) {
  std::string all;
  for (;;) {
    const std::string part = read_some(stop);
    if (part.empty()) return all;
    all += part;
    if (all.size() > longest) too_long(longest);
  }
}

std::string read_file_or_stdin(const Stop& stop, const std::string& name, std::size_t longest) {
  if (name.empty() || name == "-") return read_stdin(stop, longest);
  std::ifstream file(name, std::ios::binary);
  std::string text(longest + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) throw std::runtime_error("cannot read '" + name + "'");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > longest) too_long(longest);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const std::size_t start = line.find_first_not_of(" \t");
    if (start != std::string::npos && line[start] != '#') lines.push_back(line);
  }
  return lines;
}

std::string read_password(Stop& stop, const std::string& name) {
  if (!name.empty() || ::isatty(STDIN_FILENO) == 0) {
    return only_line(read_file_or_stdin(stop, name, longest_password));
  }
  const NoEcho quiet(stop);  // before the prompt, because it drops what was typed earlier
  const std::string password = ask(stop, "New password: ");
  if (ask(stop, "Once more: ") != password) throw std::runtime_error("the passwords do not match");
  return password;
}

}  // namespace qga_tool
