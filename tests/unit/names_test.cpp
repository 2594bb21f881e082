// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Holds the names in the headers' text against the protocol: nothing is missing, nothing is there
// that the protocol does not have, and members, enumerators and methods are called as on the wire.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "protocol_types.hpp"

using namespace qga::test;

namespace {

/// The lines of all headers of commands.
std::vector<std::string> header_lines() {
  std::vector<std::string> lines;
  for (const auto& entry :
       std::filesystem::directory_iterator(QGA_TEST_DATA "/../../include/qga/commands")) {
    std::ifstream header(entry.path());
    for (std::string line; std::getline(header, line);) lines.push_back(line);
  }
  return lines;
}

/// What the groups of `pattern` match at the start of a line.
std::vector<std::smatch> matches(const std::vector<std::string>& lines, const char* pattern) {
  std::vector<std::smatch> found;
  const std::regex regex(pattern);
  for (const auto& line : lines) {
    std::smatch match;
    if (std::regex_search(line, match, regex, std::regex_constants::match_continuous)) {
      found.push_back(match);
    }
  }
  return found;
}

/// guest-get-vcpus: GuestGetVcpusRequest
std::string request_name(const std::string& command) {
  std::string name;
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (command[i] == '-') continue;
    const bool first = i == 0 || command[i - 1] == '-';
    name += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(command[i])))
                  : command[i];
  }
  return name + "Request";
}

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

template <class E, E value>
constexpr std::string_view enumerator_name() {
  return last_name(__PRETTY_FUNCTION__, "value = ");
}

/// The enumerators that stand for wire names, in order.
template <class E>
std::vector<std::string> enumerator_names() {
  return []<std::size_t... i>(std::index_sequence<i...>) {
    return std::vector<std::string>{std::string(enumerator_name<E, static_cast<E>(i)>())...};
  }
  (std::make_index_sequence<wire_names(E()).size()>());
}

}  // namespace

TEST_CASE("the headers declare the types of the protocol and nothing else") {
  const auto lines = header_lines();
  std::set<std::string> declared;
  for (const auto& match : matches(lines, "(?:struct|class|enum class|using) (\\w+)")) {
    declared.insert(match[1]);
  }
  std::erase_if(declared, [](const std::string& name) { return name.ends_with("Commands"); });

  // The library's own: parameters with names, strings and numbers of the protocol with a type, and
  // the two ways to hold the bytes of a write.
  std::set<std::string> expected{"GuestExecParams", "GuestFileWriteParams", "GuestShutdownMode",
                                 "GuestTime", "BasicGuestFileWriteRequest"};
  for (const char* list : {"structs", "enums", "unions", "alternates"}) {
    for (const auto& type : protocol_facts().at(list)) expected.insert(type.at("name"));
  }
  for (const auto& command : protocol_facts().at("commands")) {
    expected.insert(request_name(command.at("name")));
  }
  CHECK(declared == expected);
}

TEST_CASE("the headers declare a method for each command and no other") {
  const auto lines = header_lines();
  std::vector<std::string> declared;
  for (const auto& match : matches(lines, "  auto (\\w+)\\(")) declared.push_back(match[1]);
  std::vector<std::string> expected;
  for (const auto& command : protocol_facts().at("commands")) {
    expected.push_back(underscored(command.at("name").get<std::string>().substr(6)));
  }
  std::sort(declared.begin(), declared.end());
  std::sort(expected.begin(), expected.end());
  CHECK(declared == expected);
}

TEST_CASE("members are called as on the wire") {
  const auto lines = header_lines();
  const auto fields = matches(
      lines, "(?:.*\\{)? +visit(?:\\.bytes)?\\(\"([^\"]+)\", self\\.(\\w+)(?:, true)?\\);.*");
  for (const auto& field : fields) CHECK(underscored(field[1]) == field[2].str());

  std::size_t members = 1;  // guest-file-write visits its bytes in two ways
  for (const char* list : {"structs", "unions", "commands"}) {
    const char* const key = list == std::string_view("structs")  ? "members"
                            : list == std::string_view("unions") ? "base"
                                                                 : "arguments";
    for (const auto& type : protocol_facts().at(list)) members += type.at(key).size();
  }
  CHECK(fields.size() == members);
}

TEST_CASE("enumerators are called as on the wire, and strangers become unknown") {
  Enums::each([]<class E>(std::type_identity<E>) {
    INFO(type_name<E>());
    const auto names = enumerator_names<E>();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string wire(wire_names(E()).at(i));
      // A keyword, or a macro on some libc.
      const bool reserved =
          wire == "virtual" || wire == "linux" || wire == "stdout" || wire == "stderr";
      CHECK(names.at(i) == underscored(wire) + (reserved ? "_" : ""));
      CHECK(qga::enum_from_wire<E>(wire) == static_cast<E>(i));
      CHECK(qga::wire_name(static_cast<E>(i)) == wire);
    }
    CHECK(qga::enum_from_wire<E>("never-heard-of") == E::unknown);
    CHECK(qga::enum_from_wire<E>("") == E::unknown);
    const bool own = std::count(names.begin(), names.end(), "unknown") == 1;
    CHECK(qga::wire_name(E::unknown) == (own ? "unknown" : ""));
    CHECK(qga::wire_name(static_cast<E>(1000)).empty());
  });
}
