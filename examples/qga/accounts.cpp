// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Passwords and SSH keys of the guest's users. Secrets come from stdin or a file, because every
// user of this machine can read a command line.
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "input.hpp"
#include "print.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

constexpr std::size_t longest_keys = 1 << 20;

struct AccountOptions {
  std::string user;
  std::string file;
  bool crypted = false;
  bool reset = false;
};

int set_password(Tool& tool, const AccountOptions& options) {
  const std::string password = read_password(tool.stop, options.file);
  if (password.empty()) throw std::runtime_error("the password must not be empty");
  tool.ga().set_user_password(options.user, password, options.crypted);
  return done(tool);
}

std::vector<std::string> read_keys(const Tool& tool, const AccountOptions& options) {
  std::vector<std::string> keys =
      lines_of(read_file_or_stdin(tool.stop, options.file, longest_keys));
  if (keys.empty()) throw std::runtime_error("the input must hold a key or more, a line each");
  for (const std::string& key : keys) {
    if (!key.starts_with("-----BEGIN ")) continue;
    throw std::runtime_error("the input must hold public keys, as a file that ends in .pub does");
  }
  return keys;
}

int list_keys(Tool& tool, const AccountOptions& options) {
  const auto keys = tool.ga().ssh_get_authorized_keys(options.user);
  if (tool.json) {
    print_json(nlohmann::json{{"keys", keys}});
  } else {
    for (const std::string& key : keys) print(key);
    if (keys.empty()) tool.note("no keys");  // stdout is a list for programs, too
  }
  return 0;
}

int add_keys(Tool& tool, const AccountOptions& options) {
  std::vector<std::string> keys = read_keys(tool, options);
  if (options.reset) {
    tool.ga().ssh_add_authorized_keys(options.user, std::move(keys), true);
    return done(tool);
  }
  const std::size_t added = tool.ga().add_keys(options.user, std::move(keys));
  tool.note(std::to_string(added) + " added");
  if (tool.json) print_json({{"added", added}});
  return 0;
}

int remove_keys(Tool& tool, const AccountOptions& options) {
  tool.ga().ssh_remove_authorized_keys(options.user, read_keys(tool, options));
  return done(tool);
}

}  // namespace

void define_accounts(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<AccountOptions>();
  const auto with = [&tool, options](int (*act)(Tool&, const AccountOptions&)) {
    return [&tool, options, act] { return act(tool, *options); };
  };
  const auto takes_user = [options](CLI::App* sub) {
    sub->add_option("USER", options->user, "A user of the guest")->required();
    return sub;
  };
  const auto takes_keys = [options, takes_user](CLI::App* sub) {
    takes_user(sub)->add_option("FILE", options->file,
                                "Public keys, one in each line; stdin where this is missing or -");
    return sub;
  };

  CLI::App* const passwd = takes_user(
      define(app, tool, "passwd", "Set a user's password, read from stdin", with(set_password)));
  passwd->add_option("--file", options->file, "Read it from a file")->type_name("FILE");
  passwd->add_flag("--crypted", options->crypted,
                   "The password is hashed already, as the guest stores it");

  CLI::App* const keys = define(app, "ssh-keys", "List, add and remove SSH keys of a user");
  keys->require_subcommand(1);
  takes_user(define(*keys, tool, "list", "Show a user's keys", with(list_keys)));
  takes_keys(define(*keys, tool, "add", "Add keys that are not there yet", with(add_keys)))
      ->add_flag("--reset", options->reset, "Remove all other keys");
  takes_keys(define(*keys, tool, "remove", "Remove keys", with(remove_keys)));
}

}  // namespace qga_tool
