// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What is shown of a guest's text drives no terminal and floods no log, and what is shown of a
// request gives no secret away.
#include <cstddef>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "qga/detail/protocol/redact.hpp"

using qga::detail::max_shown_text;
using qga::detail::printable;
using qga::detail::redacted;
using namespace std::string_literals;

namespace {

constexpr std::string_view secret = "aHVudGVyMg";

bool hides(const std::string& line) { return redacted(line).find(secret) == std::string::npos; }

}  // namespace

TEST_CASE("control characters are shown, not obeyed") {
  CHECK(printable("plain ~ text") == "plain ~ text");
  CHECK(printable("\u00E9\u4E2D\U0001F600\u00A0") == "\u00E9\u4E2D\U0001F600\u00A0");
  CHECK(printable("\x1B[31mred\x07") == "\\x1b[31mred\\x07");
  CHECK(printable("a\nb\r\tc") == "a\\x0ab\\x0d\\x09c");
  CHECK(printable("\0\x1F\x7F"s) == "\\x00\\x1f\\x7f");
  CHECK(printable("\xFF{") == "\\xff{");
  CHECK(printable("\u009B31m\u0080\u009F") == "\\x9b31m\\x80\\x9f");
  CHECK(printable("\xC2") == "\xC2");
  CHECK(printable("") == "");
}

TEST_CASE("every byte that a terminal may obey is escaped") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string shown = printable(std::string{static_cast<char>(byte)});
    const bool control = byte < 0x20 || byte == 0x7F || byte == 0xFF;
    INFO(byte);
    CHECK(shown.size() == (control ? 4u : 1u));
    for (const char c : shown) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F));
  }
}

TEST_CASE("long text is cut") {
  CHECK(printable(std::string(max_shown_text, 'x')) == std::string(max_shown_text, 'x'));
  CHECK(printable(std::string(max_shown_text + 1, 'x')) ==
        std::string(max_shown_text, 'x') + "... (1025 bytes)");
  const std::string flood = printable(std::string(1 << 20, '\n'));
  CHECK(flood.ends_with("... (1048576 bytes)"));
  CHECK(flood.size() < 5 * max_shown_text);
  const std::string traced = redacted(std::string(1 << 20, 'x'));
  CHECK(traced.size() < 2 * max_shown_text);
  CHECK(traced.starts_with(std::string(max_shown_text, 'x') + "... ("));
}

TEST_CASE("secrets and payloads are shown by their size") {
  CHECK(redacted(R"({"execute":"guest-set-user-password","arguments":{"username":"alice",)"
                 R"("password":"aHVudGVyMg==","crypted":false}})") ==
        R"({"execute":"guest-set-user-password","arguments":{"username":"alice",)"
        R"("password": <12 characters>,"crypted":false}})");
  CHECK(redacted(R"({"return": {"count": 3, "buf-b64": "Zm9v", "eof": true}})") ==
        R"({"return": {"count": 3, "buf-b64": <4 characters>, "eof": true}})");
  CHECK(redacted(R"({"return": {"out-data": "", "err-data": "Zm9v"}})") ==
        R"({"return": {"out-data": <0 characters>, "err-data": <4 characters>}})");
  CHECK(redacted("\xFF{\"return\": 5}") == "\\xff{\"return\": 5}");
}

TEST_CASE("a secret is hidden however its member is written") {
  const std::string value(secret);
  for (const std::string key : {"password", "input-data", "buf-b64", "out-data", "err-data"}) {
    const std::string name = "\"" + key + "\"";
    INFO(key);
    CHECK(hides("{" + name + ":\"" + value + "\"}"));
    CHECK(hides("{" + name + ": \"" + value + "\"}"));
    CHECK(hides("{" + name + " : \"" + value + "\"}"));
    CHECK(hides("{" + name + "\t:\t \"" + value + "\"}"));
    CHECK(hides("{" + name + "\r:\r\"" + value + "\"}"));
    CHECK(hides("{" + name + ":\"a\\\"" + value + "\\\\\",\"x\":1}"));
    CHECK(hides("{" + name + ":\"\\\\\\\"" + value));  // unterminated
    CHECK(hides("{" + name + ":\"" + value + "\\"));   // in an escape
    CHECK(hides("{" + name + ":\"\",\"a\":{" + name + ":\"" + value + "\"}}"));
    CHECK(hides(name + ":\"" + value + "\"" + name + ":\"" + value + "\""));
    CHECK(hides(std::string(max_shown_text - 5, 'x') + name + ":\"" + value + "\""));
    CHECK(hides("\xFF{" + name + ":\"" + std::string(1 << 16, 'x') + value + "\"}"));
  }
}

TEST_CASE("what follows a secret is shown, and other members stay as they are") {
  CHECK(redacted(R"({"password":"a\"b\\","crypted":true})") ==
        R"({"password": <6 characters>,"crypted":true})");
  CHECK(redacted(R"({"path":"password","arg":["password","x"]})") ==
        R"({"path":"password","arg":["password","x"]})");
  CHECK(redacted(R"({"execute":"guest-set-user-password"})") ==
        R"({"execute":"guest-set-user-password"})");
  CHECK(redacted(R"({"password":)") == R"({"password":)");
  CHECK(redacted(R"({"password")") == R"({"password")");
}

// A lexer that stops in a string quotes what it has of it, as in data/qemu-ga-7.2.jsonl: a request
// that was broken off and the 0xFF of the next handshake make an agent do that.
TEST_CASE("a secret is hidden in what an agent quotes of a broken request") {
  CHECK(hides(R"({"error": {"class": "GenericError", "desc": "JSON parse error, stray '\")" +
              std::string(secret) + R"(\uFFFD'"}})"));
}
