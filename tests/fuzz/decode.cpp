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
#include "qga/detail/protocol/json.hpp"
#include "qga/detail/protocol/scan.hpp"

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
/// does not know is null, or has a wire name of its own.
bool covers(const nlohmann::json& given, const nlohmann::json& made) {
  if (made.is_object()) {
    if (!given.is_object()) return false;
    for (const auto& [key, value] : made.items()) {
      const auto found = given.find(key);
      if (found == given.end() || !covers(*found, value)) return false;
    }
    return true;
  }
  if (made.is_array()) {
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
  fuzz::require(qga::detail::decode_reply<Reply>(again) == value, "a value survives a round trip");
}

template <class Request>
void decode(std::string_view result) {
  using Reply = typename Request::Reply;
  // As a session does it: the text is what the scanner found to be the value.
  const std::string line = "{\"return\":" + std::string(result) + "}";
  const auto limits = qga::detail::handling_of(Request()).limits;
  qga::detail::Envelope envelope;
  try {
    envelope = qga::detail::parse_envelope(line, limits);
  } catch (const Malformed&) {
  }
  if (envelope.result.empty()) return;
  if constexpr (std::is_void_v<Reply>) {
    try {
      qga::detail::decode_reply<Reply>(envelope.result);
      fuzz::require(nlohmann::json::parse(envelope.result).is_object(), "nothing is an object");
    } catch (const Malformed&) {
    } catch (const WrongShape&) {
    }
  } else {
    const auto made = qga::test::by_text<Reply>(envelope.result);
    fuzz::require(made == qga::test::by_dom<Reply>(envelope.result),
                  "a reply comes to what it does when parsed");
    if (made.value) check_value<Reply>(envelope.result, *made.value);
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
