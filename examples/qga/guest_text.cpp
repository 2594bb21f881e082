// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Converts by iconv, and escapes by the rule of all text.
#include "guest_text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <qga/detail/protocol/base64.hpp>

#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

void* open_converter(const std::string& from, const std::string& to) {
  const iconv_t converter = ::iconv_open(to.c_str(), from.c_str());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how iconv says no
  if (converter != reinterpret_cast<iconv_t>(static_cast<std::intptr_t>(-1))) return converter;
  throw UsageError("'" + from + "' must be an encoding that `iconv -l` lists, such as CP850");
}

/// Converts as much as there is.
/// @param input what is left of it
/// @return 0, or an errno value
int convert(iconv_t converter, std::string_view& input, std::string& output) {
  char* from = const_cast<char*>(input.data());  // which is only read
  std::size_t left = input.size();
  for (;;) {
    std::array<char, 4096> buffer;
    char* to = buffer.data();
    std::size_t room = buffer.size();
    const bool failed =
        ::iconv(converter, &from, &left, &to, &room) == static_cast<std::size_t>(-1);
    const int err = failed ? errno : 0;
    output.append(buffer.data(), buffer.size() - room);
    if (err == E2BIG) continue;
    input.remove_prefix(input.size() - left);
    return err;
  }
}

/// Ends the conversion. Some encodings, such as CP1258, hold a character back, because the next one
/// may be a mark that belongs to it.
/// @return the character that was held back, or nothing
std::string end_conversion(iconv_t converter) {
  std::array<char, 64> buffer;
  char* to = buffer.data();
  std::size_t room = buffer.size();
  ::iconv(converter, nullptr, nullptr, &to, &room);
  return {buffer.data(), buffer.size() - room};
}

std::size_t size_of_blanks(const std::string& encoding, std::string_view blanks) {
  const std::unique_ptr<void, int (*)(iconv_t)> converter(open_converter("UTF-8", encoding),
                                                          ::iconv_close);
  std::string converted;
  convert(converter.get(), blanks, converted);
  return converted.size();
}

}  // namespace

Converter::Converter(const std::string& from, const std::string& to, std::string replacement)
    : converter_(open_converter(from, to)),
      replacement_(std::move(replacement)),
      // Some encodings begin with a mark, and some, such as BRF, have no blank.
      unit_(std::max<std::size_t>(size_of_blanks(from, "  ") - size_of_blanks(from, " "), 1)) {}

std::string Converter::add(std::string_view piece) {
  std::string converted;
  held_ += piece;
  std::string_view left = held_;
  while (convert(converter_.get(), left, converted) == EILSEQ) {
    left.remove_prefix(std::min(unit_, left.size()));
    converted += replacement_;
    replaced_ = true;
  }
  held_.erase(0, held_.size() - left.size());
  return converted;
}

std::string Converter::finish() {
  std::string converted = end_conversion(converter_.get());
  if (std::exchange(held_, "").empty()) return converted;
  replaced_ = true;
  return converted + replacement_;
}

GuestText::GuestText(bool escaped, const std::string& encoding) : escaped_(escaped) {
  if (!encoding.empty()) {
    converter_ = std::make_unique<Converter>(encoding, "UTF-8", "\xEF\xBF\xBD");
  }
}

std::string GuestText::add(std::string_view piece) {
  return show(converter_ ? converter_->add(piece) : std::string(piece), false);
}

std::string GuestText::finish() { return show(converter_ ? converter_->finish() : "", true); }

std::string GuestText::show(std::string text, bool last) {
  if (!escaped_) return text;
  text.insert(0, std::exchange(held_, ""));
  if (!last) {
    const std::size_t cut = cut_character(text);
    held_ = text.substr(text.size() - cut);
    text.resize(text.size() - cut);
  }
  return shown_text(text);
}

std::string encoded_command(const std::string& line) {
  Converter converter("UTF-8", "UTF-16LE", "");
  const std::string text = converter.add(line) + converter.finish();
  if (converter.replaced()) throw UsageError("the line of --powershell must be UTF-8");
  std::string encoded;
  qga::detail::base64_encode(text, encoded);
  return encoded;
}

}  // namespace qga_tool
