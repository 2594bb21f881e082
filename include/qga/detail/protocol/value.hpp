// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A value in the text of a reply, as field tables read it: in place, and with its path for errors.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/request.hpp"

namespace qga::detail {

/// The place of a value in the one around it.
struct Place {
  const Place* parent = nullptr;  ///< null: nothing is around it
  std::string_view key = {};      ///< in an object
  std::size_t index = 0;          ///< in a list

  /// `member 'a.b[3]': <expected>`
  std::string describe(const char* expected) const {
    std::string path;
    for (const Place* at = this; at->parent != nullptr; at = at->parent) {
      if (!path.empty() && path.front() != '[') path.insert(0, ".");
      path.insert(0,
                  at->key.empty() ? "[" + std::to_string(at->index) + "]" : std::string(at->key));
    }
    return path.empty() ? expected : "member '" + path + "': " + expected;
  }
};

/// A value has another shape than the protocol says. The session catches it, because it knows the
/// command.
class WrongShape : public std::exception {
 public:
  explicit WrongShape(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// Sets an enumerator by its wire name.
template <class Source, NamedEnum E>
void set_enum(const Source& from, E& to, std::string_view name) {
  const std::optional<E> found = enum_from_wire<E>(name);
  from.require(found.has_value(), "expected the name of an enumerator");
  to = *found;
}

/// A value in a `JsonIndex`. Its members read themselves into the types of the protocol, or throw
/// WrongShape.
struct Value : Place {
  using Wrong = WrongShape;

  const JsonIndex* json = nullptr;
  JsonIndex::NodeId node = JsonIndex::root;

  Value() = default;
  explicit Value(const JsonIndex& whole, JsonIndex::NodeId node_ = JsonIndex::root,
                 const Place& place = {})
      : Place(place), json(&whole), node(node_) {}

  [[noreturn]] void wrong(const char* expected) const { throw WrongShape(describe(expected)); }
  void require(bool holds, const char* expected) const {
    if (!holds) wrong(expected);
  }

  char kind() const { return json->kind(node); }
  std::string_view text() const { return json->text(node); }
  std::string_view characters() const {
    require(kind() == '"', "expected a string");
    return json->characters(node);
  }
  bool is_object() const { return kind() == '{'; }

  /// A member of an object. `found` tells whether there is one.
  Value member(std::string_view name) const {
    return Value(*json, json->find(node, name), {this, name});
  }
  bool found() const { return node != JsonIndex::root; }

  std::size_t count() const {
    require(kind() == '[', "expected a list");
    return json->count(node);
  }
  template <class Visit>
  void each_element(Visit visit) const {
    Value element(*json, node + 1, {this});
    for (; element.node != json->next_sibling(node);
         element.node = json->next_sibling(element.node)) {
      visit(element);
      ++element.index;
    }
  }

  void read(bool& to) const {
    require(kind() == 't' || kind() == 'f', "expected true or false");
    to = kind() == 't';
  }
  void read(std::string& to) const { to = json_unescaped(characters()); }
  void read(double& to) const {
    require(kind() == '-' || (kind() >= '0' && kind() <= '9'), "expected a number");
    to = json_number(text());
  }
  template <class Integer>
  void read_integer(Integer& to) const {
    const std::string_view digits = text();
    if (std::is_unsigned_v<Integer> && digits == "-0") return void(to = 0);
    const char* const end = digits.data() + digits.size();
    const auto [parsed, ec] = std::from_chars(digits.data(), end, to);
    require(ec == std::errc() && parsed == end, "expected an integer in range");
  }
  void read_base64(std::string& to) const {
    // A backslash is outside the alphabet, so this refuses text with escapes.
    if (base64_decode(characters(), to)) return;
    require(base64_decode(json_unescaped(characters()), to), "expected base64");
  }
  template <NamedEnum E>
  void read_enum(E& to) const {
    const std::string_view name = characters();
    const bool plain = name.find('\\') == std::string_view::npos;
    set_enum(*this, to, plain ? name : json_unescaped(name));
  }
  /// This is a template, so that only its users compile a parser.
  template <class Json>
  void read_json(Json& to) const {
    try {
      to = Json::parse(text());
    } catch (const typename Json::exception& error) {
      throw Malformed(error.what());
    }
  }
};

}  // namespace qga::detail
