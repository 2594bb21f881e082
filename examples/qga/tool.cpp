// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes the client of the tool, and defines subcommands.
#include "tool.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "print.hpp"

namespace qga_tool {

qga::ClientParams Tool::client_params(const std::string& guest) const {
  qga::ClientParams params;
  if (timeout) params.timeout = duration_of(*timeout);
  if (trace) {
    const std::string name = guest.empty() ? "" : shown(guest) + " ";
    params.trace = [name](qga::TraceDirection direction, std::string_view line) {
      const char* const mark = direction == qga::TraceDirection::sent       ? "> "
                               : direction == qga::TraceDirection::received ? "< "
                                                                            : "! ";
      std::cerr << name << mark << shown(line) << '\n';
    };
  }
  return params;
}

qga::AnyClient& Tool::client(bool later) {
  if (client_) return *client_;
  qga::ClientParams params = client_params();
  params.defer_connect = later;
  return client_.emplace(qga::connect(guests.one(), std::move(params), {.stop = stop.token()}));
}

qga::AnyClient::WithOptions Tool::ga(std::optional<qga::Clock::duration> limit) {
  if (timeout) limit.reset();  // the client has the user's timeout, for each command
  return client().with({.timeout = limit, .stop = stop.token()});
}

qga::AnyClient::WithOptions Tool::unstoppable() { return client().with({}); }

void Tool::note(const std::string& line) const {
  if (!quiet) complain(line);
}

int done(const Tool& tool) {
  if (tool.json) print_json(nlohmann::json::object());
  return exit_done;
}

CLI::App* define(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App* const sub = parent.add_subcommand(name, description);
  sub->group("Commands");
  sub->fallthrough();  // options of the tool may stand after the name of a subcommand
  return sub;
}

CLI::App* define(CLI::App& parent, Tool& tool, const std::string& name,
                 const std::string& description, std::function<int()> action, Program program,
                 ExitsAsProgram exits_as_program) {
  CLI::App* const sub = define(parent, name, description);
  tool.commands[sub] = {std::move(action), program, exits_as_program};
  return sub;
}

std::vector<const CLI::Option*> own_options(const CLI::App& app) {
  std::vector<const CLI::Option*> options = app.get_options({});
  if (app.get_parent() == nullptr) return options;
  const std::vector<const CLI::Option*> inherited =
      std::as_const(*app.get_parent()).get_options({});
  std::erase_if(options, [&inherited](const CLI::Option* option) {
    return std::ranges::find(inherited, option) != inherited.end();
  });
  return options;
}

CLI::Option* seconds_option(CLI::App* app, const std::string& name, std::optional<double>& value,
                            const std::string& description) {
  const auto set = [&value](const double& seconds) { value = seconds; };
  const auto check = [](const std::string& text) {
    double seconds = 0;
    std::istringstream in(text);  // in the C locale; libc++ has no from_chars for it
    in >> seconds;
    const bool valid =
        in && in.peek() == std::char_traits<char>::eof() && seconds > 0 && seconds <= 1e9;
    return valid ? std::string() : "'" + text + "' must be a number of seconds, more than 0";
  };
  return app->add_option_function<double>(name, set, description)
      ->type_name("SECONDS")
      ->check(check);
}

CLI::Option* variables_option(CLI::App* app, const std::string& name,
                              std::vector<std::string>& values, const std::string& description) {
  const auto check = [](const std::string& text) {
    const std::size_t name_size = text.find('=');
    const bool valid = name_size > 0 && name_size != std::string::npos;
    return valid ? std::string() : "'" + text + "' must be NAME=VALUE";
  };
  return app->add_option(name, values, description)
      ->type_name("NAME=VALUE")
      ->check(check)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

std::string hint_of_spaces(const std::string& program) {
  if (program.find_first_of(" \t\n") == std::string::npos) return "";
  std::string quoted;
  for (const char c : program) c == '\'' ? quoted += "'\\''" : quoted += c;
  return "; '" + program +
         "' is taken for the name of a program: for one with arguments write -- " + program +
         ", for a line of a shell -- sh -c '" + quoted + "'";
}

void allow(CLI::Option* option, const std::vector<std::string>& choices) {
  option->type_name(joined(choices, "|"))->check(CLI::IsMember(choices).description(""));
}

}  // namespace qga_tool
