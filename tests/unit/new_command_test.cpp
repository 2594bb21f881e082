// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What to write for a command that is new in the facts (data/qga-protocol.json).
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "protocol_types.hpp"

using nlohmann::json;

namespace {

/// `text` with each `from` changed to `to`.
std::string replaced(std::string text, char from, char to) {
  for (char& c : text) c = c == from ? to : c;
  return text;
}

/// The name of the request of a command: GuestFileOpenRequest.
std::string request_name(const std::string& command) {
  std::string name;
  bool first = true;
  for (const char c : command) {
    if (c != '-') name += first && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    first = c == '-';
  }
  return name + "Request";
}

std::string cpp_type(const json& type) {
  if (type.is_null()) return "void";
  if (type.is_array()) return "std::vector<" + cpp_type(type.at(0)) + ">";
  const auto name = type.get<std::string>();
  if (name.starts_with('['))
    return "std::vector<" + cpp_type(name.substr(1, name.size() - 2)) + ">";
  const json known{{"str", "std::string"},      {"int", "std::int64_t"}, {"bool", "bool"},
                   {"uint64", "std::uint64_t"}, {"number", "double"},    {"size", "std::uint64_t"}};
  return known.value(name, name);
}

std::string what_to_write(const json& command) {
  const auto name = command.at("name").get<std::string>();
  const std::string request = request_name(name);
  std::string members, fields, parameters, values;
  for (const json& argument : command.at("arguments")) {
    const auto wire_name = argument.at("name").get<std::string>();
    const std::string member = replaced(wire_name, '-', '_');
    const bool optional = argument.at("optional").get<bool>();
    const std::string type = cpp_type(argument.at("type"));
    const std::string declared = (optional ? "std::optional<" + type + ">" : type) + " " + member +
                                 (optional ? " = {}" : "");
    members += "  " + declared + ";\n";
    fields += "    visit(\"" + wire_name + "\", self." + member + ");\n";
    parameters += (parameters.empty() ? "" : ", ") + declared;
    values += (values.empty() ? "std::move(" : ", std::move(") + member + ")";
  }
  const std::string table =
      members.empty() ? ""
                      : "\n" + members + "\n  static void fields(auto& self, auto& visit) {\n" +
                            fields + "  }\n";
  std::string text = "The library has no " + name +
                     ". Write, in the header of its family in include/qga/commands:\n"
                     "\n/// `" +
                     name + "`. @since QEMU " + command.at("since").get<std::string>() +
                     "\nstruct " + request + (members.empty() ? " : NoArguments" : "") +
                     " {\n"
                     "  using Reply = " +
                     cpp_type(command.at("returns")) +
                     ";\n"
                     "  static constexpr std::string_view command = \"" +
                     name + "\";\n" + table +
                     "};\n"
                     "\nand in the class at its end, with the documentation that the others have:\n"
                     "\n  /// @since QEMU " +
                     command.at("since").get<std::string>() +
                     ", guests: " + command.at("guests").get<std::string>() + "\n  auto " +
                     replaced(name.substr(name.find('-') + 1), '-', '_') + "(" + parameters +
                     ") {\n"
                     "    return detail::carrier_of(*this).execute(" +
                     request + "{" + values +
                     "});\n  }\n"
                     "\nThen add " +
                     request +
                     " to Requests in tests/support/protocol_types.hpp, the method to "
                     "tests/unit/methods_test.cpp, and a live test whose name begins with \"" +
                     name + "\" to tests/vm.\n";
  if (!command.at("success_response").get<bool>()) {
    text +=
        "The agent does not answer it: give it a line in "
        "include/qga/detail/protocol/handling.hpp.\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the library has every command of the facts") {
  std::set<std::string> ours;
  qga::test::Requests::each(
      [&]<class R>(std::type_identity<R>) { ours.insert(std::string(R::command)); });
  for (const json& command : qga::test::protocol_facts().at("commands")) {
    INFO(what_to_write(command));
    CHECK(ours.contains(command.at("name").get<std::string>()));
  }
}

TEST_CASE("a new command tells what to write for it") {
  const json argument{{"name", "block-size"}, {"type", "int"}, {"optional", true}};
  const json path{{"name", "path"}, {"type", "str"}, {"optional", false}};
  const std::string text = what_to_write({{"name", "guest-new-thing"},
                                          {"since", "11.3"},
                                          {"guests", "linux"},
                                          {"arguments", {path, argument}},
                                          {"returns", {"GuestThing"}},
                                          {"success_response", false}});
  for (const std::string part : {
           "struct GuestNewThingRequest {\n"
           "  using Reply = std::vector<GuestThing>;\n"
           "  static constexpr std::string_view command = \"guest-new-thing\";\n\n"
           "  std::string path;\n"
           "  std::optional<std::int64_t> block_size = {};\n\n"
           "  static void fields(auto& self, auto& visit) {\n"
           "    visit(\"path\", self.path);\n"
           "    visit(\"block-size\", self.block_size);\n  }\n};\n",
           "  /// @since QEMU 11.3, guests: linux\n"
           "  auto new_thing(std::string path, std::optional<std::int64_t> block_size = {}) {\n"
           "    return detail::carrier_of(*this).execute("
           "GuestNewThingRequest{std::move(path), std::move(block_size)});\n  }\n",
           "add GuestNewThingRequest to Requests",
           "The agent does not answer it",
       }) {
    INFO(text);
    INFO(part);
    CHECK(text.find(part) != std::string::npos);
  }

  const std::string simple = what_to_write({{"name", "guest-rest"},
                                            {"since", "11.3"},
                                            {"guests", "any"},
                                            {"arguments", json::array()},
                                            {"returns", nullptr},
                                            {"success_response", true}});
  CHECK(simple.find("struct GuestRestRequest : NoArguments {\n"
                    "  using Reply = void;\n"
                    "  static constexpr std::string_view command = \"guest-rest\";\n};\n") !=
        std::string::npos);
  CHECK(simple.find("does not answer") == std::string::npos);
}
