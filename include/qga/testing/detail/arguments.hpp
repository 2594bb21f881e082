// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Reads the arguments of a request as qemu-ga does: what is missing or of another type is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/detail/protocol/base64.hpp"

namespace qga::inline v0_1::testing::detail {

/// A command of the faked guest failed. The text is that of the error reply.
class CommandFailed : public std::runtime_error {
 public:
  explicit CommandFailed(const std::string& desc, std::string error_class = "GenericError")
      : std::runtime_error(desc), error_class_(std::move(error_class)) {}
  const std::string& error_class() const { return error_class_; }

 private:
  std::string error_class_;
};

class Arguments {
 public:
  /// @param arguments of a request, which must outlive this
  explicit Arguments(const nlohmann::json& arguments) : arguments_(arguments) {}

  std::string text(const char* name) const {
    const nlohmann::json& value = required(name);
    if (!value.is_string()) wrong_type(name, "string");
    return value.get<std::string>();
  }
  std::string text(const char* name, const char* otherwise) const {
    return find(name) != nullptr ? text(name) : otherwise;
  }
  std::int64_t number(const char* name) const {
    const nlohmann::json& value = required(name);
    if (!value.is_number_integer()) wrong_type(name, "integer");
    return value.get<std::int64_t>();
  }
  std::optional<std::int64_t> optional_number(const char* name) const {
    if (find(name) == nullptr) return std::nullopt;
    return number(name);
  }
  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> list;
    const nlohmann::json* const value = find(name);
    if (value == nullptr) return list;
    if (!value->is_array()) wrong_type(name, "array");
    for (const nlohmann::json& one : *value) {
      if (!one.is_string()) wrong_type(name, "string");
      list.push_back(one.get<std::string>());
    }
    return list;
  }
  /// Decodes base64; empty where it is missing.
  std::string bytes(const char* name) const {
    std::string decoded;
    if (!qga::detail::base64_decode(text(name, ""), decoded)) {
      throw CommandFailed("Base64 data contains invalid characters");
    }
    return decoded;
  }
  /// @return null: there is none
  const nlohmann::json* find(const char* name) const {
    if (!arguments_.is_object()) return nullptr;
    const auto found = arguments_.find(name);
    return found != arguments_.end() ? &*found : nullptr;
  }

 private:
  const nlohmann::json& required(const char* name) const {
    const nlohmann::json* const value = find(name);
    if (value == nullptr) throw CommandFailed("Parameter '" + std::string(name) + "' is missing");
    return *value;
  }
  [[noreturn]] static void wrong_type(const std::string& name, const std::string& expected) {
    throw CommandFailed("Invalid parameter type for '" + name + "', expected: " + expected);
  }

  const nlohmann::json& arguments_;
};

inline std::string to_base64(std::string_view bytes) {
  std::string text;
  qga::detail::base64_encode(bytes, text);
  return text;
}

}  // namespace qga::inline v0_1::testing::detail
