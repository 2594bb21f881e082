// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The scanner that finds values in a reply without parsing it, the outline that validates text, and
// the payloads that are decoded from where they lie, against the full parser: all take the same
// lines, and find the same in them. An input is the line of a reply.
#include <optional>
#include <string_view>

#include "dom.hpp"
#include "fuzz.hpp"
#include "qga/commands/exec.hpp"
#include "qga/commands/file.hpp"
#include "qga/detail/protocol/json_index.hpp"
#include "qga/detail/protocol/scan.hpp"

namespace {

using nlohmann::json;

/// Far away, for what is to be compared: the full parser has none.
constexpr qga::ReplyLimits no_limits{1 << 30, 1 << 20, 1 << 30};

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

/// The scanner takes names in plain ASCII only, as all are, so that it need not unescape them.
bool has_odd_names(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c > '~' || c == '\\') return true;
  }
  return false;
}

bool is_json(std::string_view text) {
  try {
    qga::detail::check_json(text);
  } catch (const qga::detail::Malformed&) {
    return false;
  }
  return true;
}

template <class Reply>
void check_payload(std::string_view text) {
  fuzz::require(qga::test::by_text<Reply>(text) == qga::test::by_dom<Reply>(text),
                "a payload comes to what it does when parsed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line = fuzz::Bytes(data, size).rest();
  const Parsed full(line);
  fuzz::require(is_json(line) == full.value.has_value(), "JSON is what the full parser takes");

  std::optional<qga::detail::Envelope> envelope;
  try {
    envelope = qga::detail::parse_envelope(line, no_limits);
  } catch (const qga::detail::Malformed& error) {
    if (std::string_view(error.what()) == "a member name that is not plain") {
      fuzz::require(has_odd_names(line), "only odd names are called so");
      return 0;
    }
  }
  const bool takes = full.value && full.value->is_object() && full.answers == 1 && full.ids <= 1;
  if (!envelope) {
    fuzz::require(!takes, "what is a reply to the full parser is one to the scanner");
    return 0;
  }

  // Values are validated where they are used, so what the scanner takes may be none.
  const bool is_result = !envelope->result.empty();
  const std::string_view value = is_result ? envelope->result : envelope->error;
  if (is_result) {
    check_payload<qga::GuestFileRead>(value);
    check_payload<qga::GuestExecStatus>(value);
  }
  fuzz::require(is_json(value) == full.value.has_value(), "a line is JSON as its value is");
  if (!full.value) return 0;
  fuzz::require(takes, "what is a reply to the scanner is one to the full parser");
  fuzz::require(json::parse(value) == full.value->at(is_result ? "return" : "error"),
                "both find the same value");
  fuzz::require(envelope->has_id == full.value->contains("id"), "both find the same id");
  const json id = full.value->value("id", json());
  fuzz::require(envelope->id.has_value() == id.is_number_unsigned(), "an id is a number");
  if (envelope->id) fuzz::require(id == *envelope->id, "both find the same number");
  return 0;
}
