// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The large inputs of the hostile corpus, made on the way: replies that take the host's memory or
// time where only their length is bounded. Sent in pieces, because the agent is in this process,
// and its memory would be counted.
#include <string>
#include <string_view>
#include <vector>

#include "hostile.hpp"

using namespace hostile;

namespace {

script::Action repeats(std::string block, std::size_t times) {
  return qga::testing::sends(std::move(block), times);
}

/// `"return": ` with `front`, many times `piece` and `back`, in one reply.
script::Action returns(const std::string& front, std::string_view piece, std::size_t times,
                       const std::string& back) {
  std::string block;
  const std::size_t at_once = std::max<std::size_t>((64 << 10) / piece.size(), 1);
  for (std::size_t i = 0; i < at_once; ++i) block += piece;
  std::string rest = block.substr(0, times % at_once * piece.size());
  return script::all(script::says("{\"return\": " + front), repeats(block, times / at_once),
                     repeats(std::move(rest), 1), script::says(back + ", \"id\": $id}\n"));
}

/// A list of so many strings of this length.
script::Action returns_strings(int count, std::size_t length) {
  const std::string block(64 << 10, 'a');
  script::Action all = script::says("{\"return\": [0");
  for (int i = 0; i < count; ++i) {
    all = script::all(std::move(all), script::says(",\""), repeats(block, length / block.size()),
                      script::says("\""));
  }
  return script::all(std::move(all), script::says("], \"id\": $id}\n"));
}

constexpr std::size_t million = 1'000'000;
constexpr std::size_t mebi = 1 << 20;
constexpr std::size_t longest_string = qga::structured_reply_limits.string;
/// Elements that a reply with members may have.
constexpr std::size_t most = qga::structured_reply_limits.elements;

const char* const osinfo = "guest-get-osinfo";
const char* const read = "guest-file-read";
const char* const by_hand = "guest-of-tomorrow";

std::vector<Input> inputs() {
  const nlohmann::json any;
  const nlohmann::json whole = {{"handle", 1}, {"count", 48 * mebi}};
  const nlohmann::json eighth = {{"handle", 1}, {"count", 8 * mebi}};
  const nlohmann::json user = {{"username", "x"}};
  const std::string key(100, 'k');
  const std::string disk = R"({"name": "", "mountpoint": "", "type": "", "disk": []})";
  return {
      {"depth-of-a-million", osinfo, any, "bad reply", any,
       returns("", "[", million, std::string(million, ']'))},
      {"depth-of-a-million-objects", osinfo, any, "bad reply", any,
       returns("", "{\"a\":", million, "0")},
      {"ten-million-tiny-elements", osinfo, any, "bad reply", any,
       returns("[0", ",0", 10 * million, "]")},
      {"five-million-tiny-elements", osinfo, any, "bad reply", any,
       returns("[0", ",0", 5 * million, "]")},
      {"million-empty-lists", osinfo, any, "bad reply", any, returns("[[]", ",[]", million, "]")},
      {"million-empty-strings", osinfo, any, "bad reply", any,
       returns("[\"\"", ",\"\"", million, "]")},
      {"million-keys-that-are-equal", osinfo, any, "bad reply", any,
       returns("{\"a\":0", ",\"a\":0", million, "}")},
      {"million-commas", osinfo, any, "bad reply", any, returns("[", ",", million, "]")},
      {"million-interfaces", "guest-network-get-interfaces", any, "bad reply", any,
       returns("[{\"name\":\"a\"}", ",{\"name\":\"a\"}", million, "]")},
      {"million-file-systems", "guest-get-fsinfo", any, "bad reply", any,
       returns("[{}", ",{}", million, "]")},
      {"million-disks", "guest-get-disks", any, "bad reply", any,
       returns("[{}", ",{}", million, "]")},
      {"million-supported-commands", "guest-info", any, "bad reply", any,
       returns("{\"version\": \"1\", \"supported_commands\": [{}", ",{}", million, "]}")},
      {"string-of-64-MiB", osinfo, any, "bad reply", any,
       returns("{\"name\": \"", "a", 64 * mebi, "\"}")},
      {"string-of-15-MiB", osinfo, any, "bad reply", any,
       returns("{\"name\": \"", "a", 15 * mebi, "\"}")},
      {"string-as-long-as-it-may-be", osinfo, any, "value", any,
       returns("{\"name\": \"", "a", longest_string, "\"}")},
      {"escapes-as-long-as-they-may-be", osinfo, any, "value", any,
       returns("{\"name\": \"", "\\u00e9", longest_string / 6, "\"}")},
      {"escapes-of-15-MiB", osinfo, any, "bad reply", any,
       returns("{\"name\": \"", "\\u00e9", 15 * mebi / 6, "\"}")},
      {"number-of-a-million-digits",
       "guest-file-open",
       {{"path", "/x"}, {"mode", "r"}},
       "bad reply",
       any,
       returns("1", "0", million, "")},
      {"number-of-15-million-digits", osinfo, any, "bad reply", any,
       returns("{\"x\": 1", "0", 15 * million, "}")},
      {"error-text-of-15-MiB", osinfo, any, "bad reply", any,
       returns("{}, \"error\": {\"class\": \"A\", \"desc\": \"", "\\u001b", 15 * mebi / 6, "\"}")},
      // As many elements as are taken, of the costliest kinds.
      {"most-elements-empty-strings", osinfo, any, "bad reply", any,
       returns("[\"\"", ",\"\"", most - 8, "]")},
      {"most-elements-objects", osinfo, any, "bad reply", any,
       returns("[{\"\":0}", ",{\"\":0}", most / 2 - 8, "]")},
      {"most-elements-lists", osinfo, any, "bad reply", any,
       returns("[[0]", ",[0]", most / 2 - 8, "]")},
      {"most-elements-nested-objects", osinfo, any, "bad reply", any,
       returns("[0", ",{\"\":{\"\":{\"\":0}}}", most / 4 - 8, "]")},
      {"most-elements-and-13-MiB-of-keys", "guest-ssh-get-authorized-keys", user, "value", any,
       returns("{\"keys\": [\"\"", ",\"" + key + "\"", most - 8, "]}")},
      {"most-elements-of-file-systems", "guest-get-fsinfo", any, "value", any,
       returns("[" + disk, "," + disk, most / 7 - 8, "]")},
      {"most-elements-of-interfaces", "guest-network-get-interfaces", any, "value", any,
       returns("[{\"name\":\"a\"}", ",{\"name\":\"a\"}", most / 2 - 8, "]")},
      // What commands sent by hand take is longer.
      {"by-hand-two-strings-as-long-as-they-may-be", by_hand, any, "value", any,
       returns_strings(2, 24 * mebi)},
      {"by-hand-string-of-25-MiB", by_hand, any, "bad reply", any, returns_strings(1, 25 * mebi)},
      {"by-hand-string-of-64-MiB", by_hand, any, "bad reply", any, returns_strings(1, 64 * mebi)},
      // Payloads, as long as they may be.
      {"payload-of-48-MiB", read, whole, "value", any,
       returns("{\"count\": 1, \"eof\": false, \"buf-b64\": \"", "QUJD", 16 * mebi, "\"}")},
      {"payload-of-8-MiB-with-an-escape", read, eighth, "value", any,
       returns("{\"count\": 1, \"eof\": false, \"buf-b64\": \"\\u0051UJD", "QUJD", 8 * mebi / 3 - 1,
               "\"}")},
      {"payload-of-8-MiB-that-is-no-base64", read, eighth, "bad reply", any,
       returns("{\"count\": 1, \"eof\": false, \"buf-b64\": \"*", "QUJD", 8 * mebi / 3, "\"}")},
      {"payload-longer-than-asked",
       read,
       {{"handle", 1}, {"count", 1000}},
       "bad reply",
       any,
       returns("{\"count\": 1, \"eof\": false, \"buf-b64\": \"", "QUJD", 16 * mebi, "\"}")},
      {"output-of-45-MiB-twice",
       "guest-exec-status",
       {{"pid", 1}},
       "bad reply",
       any,
       returns("{\"exited\": true, \"out-data\": \"", "QUJD", 23 * mebi, "\"}")},
  };
}

}  // namespace

TEMPLATE_TEST_CASE("hostile: large replies", "[hostile]", Blocking, Async) {
  Tally tally("large");
  try_inputs<TestType>(inputs(), tally);
}

TEMPLATE_TEST_CASE("hostile: large replies to a client that takes a mebibyte", "[hostile]",
                   Blocking, Async) {
  Tally tally("large, to a client with a limit");
  for (Input input : inputs()) {
    input.expected = "bad reply";
    try_input<TestType>(input, tally, {.timeout = patience, .max_reply_size = mebi});
  }
}
