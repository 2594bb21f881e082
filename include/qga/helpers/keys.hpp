// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Adds SSH keys of which some may be there already. An agent compares whole lines, so it would add
// the same key again where the comment is different.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qga/commands/account.hpp"
#include "qga/detail/protocol/algorithm.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {
namespace detail {

inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// Removes the first word of a text and the blanks behind it, and returns the word. Blanks between
/// quotes are part of a word, as in the options of sshd.
inline std::string_view take_word(std::string_view& text) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || (text[end] != ' ' && text[end] != '\t')); ++end) {
    if (text[end] == '\\' && text.substr(end + 1, 1) == "\"") {
      ++end;
    } else if (text[end] == '"') {
      quoted = !quoted;
    }
  }
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

/// The key in a line of authorized_keys: its type and its base64, without the options before and
/// the comment behind. The line itself where it is not a key but, for example, a comment.
inline std::string key_of(std::string_view line) {
  constexpr std::array<std::string_view, 3> types{"ssh-", "ecdsa-", "sk-"};
  line = trimmed(line);
  std::string_view rest = line;
  std::string_view type = take_word(rest);
  const auto is_type = [&] {
    return std::any_of(types.begin(), types.end(),
                       [&](std::string_view prefix) { return type.starts_with(prefix); });
  };
  if (!is_type()) type = take_word(rest);  // the first word was the options
  if (line.starts_with('#') || !is_type() || rest.empty()) return std::string(line);
  std::string key(type);
  return key.append(" ").append(take_word(rest));
}

template <class Io>
class AddKeys {
 public:
  AddKeys(Io& io, std::string username, std::vector<std::string> keys)
      : io_(io), username_(std::move(username)), keys_(std::move(keys)) {}

  void start() {
    io_.call(GuestSshGetAuthorizedKeysRequest(username_),
             [this](std::exception_ptr error, const GuestAuthorizedKeys& present) {
               // An agent also refuses where the user never had a key. Where there is no such user,
               // adding fails.
               if (error && !refused(error)) return io_.fail(std::move(error));
               add(present.keys);
             });
  }

 private:
  static bool refused(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const CommandNotFoundError&) {
      return false;
    } catch (const AgentError&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  void add(const std::vector<std::string>& present) {
    std::set<std::string> known;
    for (const std::string& line : present) known.insert(key_of(line));
    std::vector<std::string> missing;
    for (const std::string& line : keys_) {
      if (known.insert(key_of(line)).second) missing.emplace_back(trimmed(line));
    }
    const std::size_t count = missing.size();
    if (count == 0) return io_.finish(0);
    io_.call(GuestSshAddAuthorizedKeysRequest(std::move(username_), std::move(missing)),
             [this, count](std::exception_ptr error) {
               if (error) return io_.fail(std::move(error));
               io_.finish(count);
             });
  }

  Io& io_;
  std::string username_;
  std::vector<std::string> keys_;
};

}  // namespace detail

/// SSH keys; see `Helpers`.
template <class Carrier>
class KeyHelpers {
 public:
  /// Lets SSH keys log in as a user, each of them once: a key is known by its type and its base64,
  /// whatever options and comment it has. A key that is there already keeps its options.
  /// @param username a user of the guest
  /// @param keys public keys, a line each, as .pub files have them
  /// @return how many were added (`std::size_t`); the others were there. 0: nothing was written
  /// @throws AgentError no such user, not a public key, no home directory
  /// @throws CommandNotFoundError file systems are frozen, or reading or adding keys is forbidden
  /// @timeout 5 s for each of two requests. After a timeout the keys may be added still; to call
  ///          it again does no harm.
  /// @since QEMU 5.2, POSIX guests; Windows guests QEMU 9.1
  auto add_keys(std::string username, std::vector<std::string> keys) {
    return detail::carrier_of(*this).template perform<std::size_t, detail::AddKeys>(
        std::move(username), std::move(keys));
  }
};

}  // namespace qga::inline v0_1
