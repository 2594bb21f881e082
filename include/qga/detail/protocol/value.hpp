// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A value in the text of a reply, as field tables read it: in place, and with its path for errors.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/request.hpp"

namespace qga::inline v0_1::detail {

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

/// Converts a number that is whole and fits: some agents write all numbers in floating notation.
template <class Integer>
bool to_integer(double number, Integer& to) {
  const double end = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
  const bool fits = number < end && (std::is_signed_v<Integer> ? number > -end : number >= 0);
  if (!fits || number != std::trunc(number)) return false;
  to = static_cast<Integer>(number);
  return true;
}

/// Reads an integer from the text of a JSON value. False: it is no whole number, or does not fit.
template <class Integer>
bool parse_integer(std::string_view text, Integer& to) {
  const char* const end = text.data() + text.size();
  const auto [parsed, ec] = std::from_chars(text.data(), end, to);
  if (ec == std::errc() && parsed == end) return true;
  const bool is_number = text.front() == '-' || (text.front() >= '0' && text.front() <= '9');
  return is_number && to_integer(json_number(text), to);
}

/// Sets an enumerator by its wire name.
template <class Source, NamedEnum E>
void set_enum(const Source& from, E& to, std::string_view name) {
  const std::optional<E> found = enum_from_wire<E>(name);
  from.require(found.has_value(), "expected the name of an enumerator");
  to = *found;
}

/// A value in a `JsonIndex`. Its members read it into the types of the protocol, or throw
/// WrongShape.
struct Value : Place {
  using Wrong = WrongShape;

  /// The outermost value, after which the index must not read another text.
  explicit Value(const JsonIndex& json) : json_(&json) {}
  Value() = default;

  [[noreturn]] void wrong(const char* expected) const { throw WrongShape(describe(expected)); }
  void require(bool holds, const char* expected) const {
    if (!holds) wrong(expected);
  }

  /// The same value, without its place: errors name members from here on.
  Value alone() const { return Value({}, json_, node_); }

  /// The first character, which tells the kind.
  char kind() const { return json_->opens(node_); }
  bool is_object() const { return kind() == '{'; }
  std::string_view text() const {
    const Node& node = json_->at(node_);
    return {json_->begin_ + node.begin, node.end - node.begin};
  }
  /// Returns the characters between the quotes of a string.
  std::string_view characters() const {
    require(kind() == '"', "expected a string");
    const std::string_view quoted = text();
    return quoted.substr(1, quoted.size() - 2);
  }

  /// The member of an object, the last one where several have the name. `found` tells whether there
  /// is one.
  Value member(std::string_view name) const {
    Value found({this, name}, json_, 0);
    const NodeId end = next(node_);
    for (NodeId at = node_ + 1; at != end; at = next(at)) {
      if (json_->is_named(at, name)) found.node_ = at;
    }
    return found;
  }
  bool found() const { return node_ != 0; }
  bool is_null() const { return kind() == 'n'; }
  /// Whether an optional member of type T is there: null is as good as missing.
  template <class T>
  bool is_given() const {
    return found() && !is_null();
  }

  /// Returns the number of values in a list.
  std::size_t count() const {
    require(kind() == '[', "expected a list");
    std::size_t count = 0;
    for (NodeId at = node_ + 1; at != next(node_); at = next(at)) ++count;
    return count;
  }
  /// Calls `visit` with each value in a list, or in an object: `key` is its name as it is written.
  template <class Visit>
  void each_element(Visit visit) const {
    Place place{this};
    for (NodeId at = node_ + 1; at != next(node_); at = next(at)) {
      place.key = json_->name_of(at);
      visit(Value(place, json_, at));
      ++place.index;
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
    require(parse_integer(text(), to), "expected an integer in range");
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

 private:
  using Node = JsonIndex::Node;
  using NodeId = JsonIndex::NodeId;

  Value(const Place& place, const JsonIndex* json, NodeId node)
      : Place(place), json_(json), node_(node) {}

  NodeId next(NodeId node) const { return json_->at(node).next_sibling; }

  const JsonIndex* json_ = nullptr;
  NodeId node_ = 0;  ///< 0: the outermost value, which no other value contains
};

}  // namespace qga::inline v0_1::detail
