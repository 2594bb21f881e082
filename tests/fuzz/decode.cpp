// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Any JSON, or what is none, as the reply to any of the 46 commands: it is a value that says what
// the JSON says, or Malformed or WrongShape; nothing else, never a value out of thin air, and the
// same that comes of it by way of nlohmann/json.
// The first byte of an input chooses the command, the rest is the text of `return`.
#include <string>
#include <string_view>
#include <type_traits>

#include "dom.hpp"
#include "fuzz.hpp"
#include "protocol_types.hpp"
#include "qga/detail/protocol/base64.hpp"
#include "qga/detail/protocol/decode.hpp"
#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/json.hpp"

namespace {

using qga::detail::Malformed;
using qga::detail::WrongShape;

/// What is left of `json` with base64 brought into one form: its last bits are free to vary.
void canonical(nlohmann::json& json) {
  for (const char* const name : {"buf-b64", "out-data", "err-data"}) {
    if (!json.is_object() || !json.contains(name)) continue;
    std::string bytes;
    const auto* text = json[name].get_ptr<const std::string*>();
    if (text == nullptr || !qga::detail::base64_decode(*text, bytes)) continue;
    std::string again;
    qga::detail::base64_encode(bytes, again);
    json[name] = again;
  }
}

/// Whether everything in `made` is in `given`, and the same there. An enumerator that the library
/// does not know is null, or has a wire name of its own. Null is an empty list, and agents before
/// 1.7 leave out that a command has a reply.
bool covers(const nlohmann::json& given, const nlohmann::json& made) {
  if (made.is_object()) {
    if (!given.is_object()) return false;
    for (const auto& [key, value] : made.items()) {
      const auto found = given.find(key);
      const bool is_left_out = found == given.end() || found->is_null();
      if (is_left_out && key == "success-response" && value == true) continue;
      if (found == given.end() || !covers(*found, value)) return false;
    }
    return true;
  }
  if (made.is_array()) {
    if (given.is_null()) return made.empty();
    if (!given.is_array() || given.size() != made.size()) return false;
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (!covers(given[i], made[i])) return false;
    }
    return true;
  }
  if (made.is_null() || made == "unknown") return given.is_string();
  return given == made;
}

template <class Reply>
void check_value(std::string_view text, const Reply& value) {
  const nlohmann::json made = value;
  auto given = nlohmann::json::parse(text);
  canonical(given);
  fuzz::require(covers(given, made), "a value says what its reply says");
  const std::string again = made.dump();
  if (again.find("null") != std::string::npos) return;  // an enumerator without a name
  fuzz::require(qga::test::decoded<Reply>(again) == value, "a value survives a round trip");
}

template <class Request>
void decode(std::string_view result) {
  using Reply = typename Request::Reply;
  // As a session does it: the value is what was found in the line.
  const std::string line = "{\"return\":" + std::string(result) + "}";
  const auto limits = qga::detail::handling_of(Request()).limits;
  try {
    const qga::detail::JsonIndex json(line, limits);
    const qga::detail::Value reply = qga::detail::envelope_of(json).reply;
    const std::string_view text = reply.text();
    if constexpr (std::is_void_v<Reply>) {
      qga::detail::decode_reply<Reply>(reply);
      fuzz::require(nlohmann::json::parse(text).is_object(), "nothing is an object");
    } else {
      const auto made = qga::test::by_text<Reply>(text);
      fuzz::require(made == qga::test::by_dom<Reply>(text),
                    "a reply comes to what it does when parsed");
      // In a conversion null is an enumerator without a name, too.
      fuzz::require(text.find("null") != text.npos || made == qga::test::by_json<Reply>(text),
                    "a reply comes to what its conversion does");
      if (made.value) check_value<Reply>(text, *made.value);
    }
  } catch (const Malformed&) {
  } catch (const WrongShape&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::size_t chosen = bytes.number() % qga::test::Requests::size;
  const std::string_view result = bytes.rest();
  std::size_t index = 0;
  qga::test::Requests::each([&]<class Request>(std::type_identity<Request>) {
    if (index++ == chosen) decode<Request>(result);
  });
  return 0;
}
