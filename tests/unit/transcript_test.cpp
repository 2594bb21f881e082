// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Feeds everything that real agents answered (data/qemu-ga-2.8.jsonl and -7.2.jsonl) through the
// reader, the envelope and the decoder, and holds what comes out against the recording itself.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "protocol_types.hpp"
#include "qga/detail/protocol/envelope.hpp"
#include "qga/detail/protocol/errors.hpp"
#include "qga/detail/protocol/json.hpp"
#include "qga/detail/protocol/reader.hpp"

using nlohmann::json;
using qga::detail::Reader;

namespace {

std::vector<json> recording(const std::string& version) {
  std::vector<json> entries;
  std::ifstream file(QGA_TEST_DATA "/qemu-ga-" + version + ".jsonl");
  for (std::string line; std::getline(file, line);) entries.push_back(json::parse(line));
  return entries;
}

std::string text(const json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

/// The bytes of a reply: the recording shows 0xFF as U+00FF, and single lines without their end.
std::string bytes_of(std::string reply) {
  for (std::size_t at = 0; (at = reply.find("\u00FF{", at)) != std::string::npos;) {
    reply.replace(at, 2, "\xFF");
  }
  if (!reply.ends_with('\n')) reply += '\n';
  return reply;
}

/// What the last complete `execute` of a request names; requests may be broken, or not JSON.
std::string command_of(const std::string& request) {
  const std::size_t key = request.rfind("execute");
  if (key == std::string::npos) return "";
  const std::size_t begin = request.find_first_not_of("\"': ", key + 7);
  return request.substr(begin, request.find_first_of("\"'", begin) - begin);
}

/// Decodes a `return` as the typed command does and encodes it again; none: no such command.
std::optional<json> through_types(const std::string& command, const qga::detail::Value& result) {
  std::optional<json> again;
  qga::test::Requests::each([&]<class R>(std::type_identity<R>) {
    if (R::command != command) return;
    using Reply = typename R::Reply;
    if constexpr (std::is_void_v<Reply>) {
      qga::detail::decode_reply<Reply>(result);
      again = json::object();
    } else {
      again = qga::detail::decode_reply<Reply>(result);
    }
  });
  return again;
}

/// What forbids a command is told by the class; by agents before 4.2, in a sentence.
bool is_forbidden(const std::string& command, const json& error) {
  const std::string error_class = error.at("class");
  const std::string desc = error.at("desc");
  return error_class == "CommandNotFound" ||
         desc == "this feature or command is not currently supported" ||
         (desc.find(" disabled for this instance") != std::string::npos &&
          desc.find(" " + command + " ") != std::string::npos);
}

void check_error(const std::string& command, const qga::detail::Value& error,
                 const json& expected) {
  const std::string error_class = expected.at("class");
  try {
    std::rethrow_exception(qga::detail::agent_error(command, error));
  } catch (const qga::AgentError& caught) {
    CHECK(caught.error_class() == error_class);
    CHECK(caught.desc() == expected.at("desc").get<std::string>());
    CHECK(caught.code() == qga::err_from_agent);
    CHECK(caught.outcome() == qga::Outcome::refused);
    const bool not_found = dynamic_cast<const qga::CommandNotFoundError*>(&caught) != nullptr;
    CHECK(not_found == is_forbidden(command, expected));
  }
}

struct Tally {
  std::size_t values = 0;
  std::size_t errors = 0;
  std::size_t sentinels = 0;
};

void check_line(std::string_view line, const std::string& command, Tally& tally) {
  INFO(line.substr(0, 200));
  const json expected = json::parse(line);
  const auto limits = qga::structured_reply_limits;
  const qga::detail::JsonIndex index(line, limits);
  const auto envelope = qga::detail::envelope_of(index);
  CHECK(envelope.has_id == expected.contains("id"));
  const bool has_number = expected.contains("id") && expected["id"].is_number_unsigned();
  REQUIRE(envelope.id.has_value() == has_number);
  if (has_number) CHECK(*envelope.id == expected["id"].get<std::uint64_t>());
  if (envelope.refused) {
    ++tally.errors;
    CHECK(json::parse(envelope.reply.text()) == expected.at("error"));
    check_error(command, envelope.reply, expected.at("error"));
  } else {
    ++tally.values;
    CHECK(through_types(command, envelope.reply) == expected.at("return"));
  }
}

std::size_t occurrences(std::string_view text, std::string_view wanted) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(wanted, at)) != std::string_view::npos; ++at) ++count;
  return count;
}

}  // namespace

TEST_CASE("everything that a real agent answered decodes to what it answered") {
  const std::string version = GENERATE(as<std::string>(), "2.8", "7.2");
  INFO("agent " << version);
  const auto entries = recording(version);
  Tally tally;
  Tally expected;  // by looking for words in the text
  std::size_t silent = 0;
  std::size_t spoken = 0;
  std::size_t notes = 0;  // what the recorder found out otherwise
  std::string command;
  for (const json& entry : entries) {
    const std::string request = text(entry, "request");
    if (!request.empty()) command = command_of(request);  // else a late reply to the one before
    const std::string reply = bytes_of(text(entry, "reply"));
    if (reply == "\n") {
      ++silent;
      continue;
    }
    const bool is_note = reply[0] != '{' && reply[0] != '\xFF';
    if (is_note) CHECK(request.empty());
    // The recorder has cut a reply of 28 MB.
    if (is_note || reply.ends_with("...\n")) {
      ++notes;
      continue;
    }
    ++spoken;
    expected.values += occurrences(reply, "{\"return\": ");
    expected.errors += occurrences(reply, "\"error\": {\"class\": ");
    expected.sentinels += occurrences(reply, "\xFF");

    Reader reader(64);
    for (const char byte : reply) {
      reader.space()[0] = byte;
      reader.received(1);
      const auto item = reader.next(1 << 20);
      if (item == Reader::Item::sentinel) {
        CHECK_FALSE(reader.cut());
        ++tally.sentinels;
      } else if (item != Reader::Item::none) {
        REQUIRE(item == Reader::Item::line);
        check_line(reader.line(), command, tally);
      }
    }
  }
  CHECK(silent + spoken + notes == entries.size());
  CHECK(spoken > entries.size() * 9 / 10);
  CHECK(tally.values == expected.values);
  CHECK(tally.errors == expected.errors);
  CHECK(tally.sentinels == expected.sentinels);
  CHECK(tally.sentinels > 0);
}
