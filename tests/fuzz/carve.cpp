// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The reader that finds the values of a reply, and the payloads that are decoded from where they
// lie, against the full parser: both take the same lines, and find the same in them. An input is
// the line of a reply.
#include <optional>
#include <string_view>

#include "dom.hpp"
#include "fuzz.hpp"
#include "qga/commands/exec.hpp"
#include "qga/commands/file.hpp"
#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/json_index.hpp"

namespace {

using nlohmann::json;

/// What the full parser makes of a text. It takes the last of several members of the same name;
/// which come twice is kept beside.
struct Parsed {
  std::optional<json> value;
  std::size_t answers = 0;  ///< members `return` and `error`
  std::size_t ids = 0;      ///< members `id`

  explicit Parsed(std::string_view text) {
    value = qga::test::parsed(text);
    if (!value) return;
    const auto note = [this](int depth, json::parse_event_t event, json& parsed) {
      if (event == json::parse_event_t::key && depth == 1) {
        const auto& name = parsed.get_ref<const std::string&>();
        answers += name == "return" || name == "error" ? 1 : 0;
        ids += name == "id" ? 1 : 0;
      }
      return true;
    };
    const json noted = json::parse(text, note);
    fuzz::require(noted == *value, "parsing twice comes to the same");
  }
};

/// Whether the library's reader takes a text, within its limits.
bool takes(std::string_view text, const qga::ReplyLimits& limits) {
  try {
    qga::detail::JsonIndex(text, limits);
  } catch (const qga::detail::Malformed&) {
    return false;
  }
  return true;
}

/// Whether a text has a number that is longer than any reader needs.
bool has_long_number(std::string_view text) {
  std::size_t length = 0;
  for (const char c : text) {
    length = std::string_view("0123456789+-.eE").find(c) != std::string_view::npos ? length + 1 : 0;
    if (length > qga::detail::longest_number) return true;
  }
  return false;
}

template <class Reply>
void check_payload(std::string_view text) {
  fuzz::require(qga::test::by_text<Reply>(text) == qga::test::by_dom<Reply>(text),
                "a payload comes to what it does when parsed");
}

void check_envelope(const qga::detail::JsonIndex& read, const Parsed& full) {
  const json& value = *full.value;
  const bool is_reply = value.is_object() && full.answers == 1 && full.ids <= 1;
  qga::detail::Envelope envelope;
  try {
    envelope = qga::detail::envelope_of(read);
  } catch (const qga::detail::Malformed& error) {
    const bool odd = std::string_view(error.what()) == "a member name that is not plain";
    fuzz::require(odd || !is_reply, "what is a reply to the full parser is one to the reader");
    return;
  }
  fuzz::require(is_reply, "what is a reply to the reader is one to the full parser");
  const std::string_view text = envelope.reply.text();
  fuzz::require(json::parse(text) == value.at(envelope.refused ? "error" : "return"),
                "both find the same value");
  fuzz::require(envelope.has_id == value.contains("id"), "both find the same id");
  const json id = value.value("id", json());
  fuzz::require(envelope.id.has_value() == id.is_number_unsigned(), "an id is a number");
  if (envelope.id) fuzz::require(id == *envelope.id, "both find the same number");
  check_payload<qga::GuestFileRead>(text);
  check_payload<qga::GuestExecStatus>(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line = fuzz::Bytes(data, size).rest();
  if (has_long_number(line)) return 0;
  const Parsed full(line);
  fuzz::require(takes(line, qga::test::no_limits) == full.value.has_value(),
                "JSON is what the full parser takes");
  // A limit only ever refuses more.
  const bool bounded = takes(line, qga::simple_reply_limits);
  fuzz::require(!bounded || full.value, "what is within the limits is JSON");
  if (full.value) check_envelope({line, qga::test::no_limits}, full);
  return 0;
}
