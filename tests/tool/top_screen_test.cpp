// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The screen of top on terminals of several sizes, with guests that come and go, and that the
// terminal is as before afterwards.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>

#include "agent.hpp"
#include "catch.hpp"
#include "screen.hpp"
#include "scripted_agent.hpp"
#include "tool.hpp"

namespace {

namespace top_screen {

using namespace qga_test;

/// A directory of guests' sockets, in which names lead to agents that are elsewhere.
class Guests {
 public:
  void add(const std::string& name, const std::string& socket) const {
    std::filesystem::create_symlink(socket, path(name));
  }
  void remove(const std::string& name) const { std::filesystem::remove(path(name)); }
  /// Of a guest whose socket nobody listens on.
  void add_dead(const std::string& name) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path(name).copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    ::close(fd);
  }
  std::string pattern() const { return directory_.file("*.sock"); }

 private:
  std::string path(const std::string& name) const { return directory_.file(name + ".sock"); }

  TemporaryDirectory directory_;
};

/// A guest that tells about its network, and nothing else.
void tell_network(ScriptedAgent& agent, const std::string& interface) {
  agent.on(
      "guest-info",
      script::returns(R"({"version": "9.9", "supported_commands": [{"enabled": true, )"
                      R"("name": "guest-network-get-interfaces", "success-response": true}]})"));
  agent.on("guest-network-get-interfaces",
           script::returns(R"([{"name": ")" + interface +
                           R"(", "statistics": {"rx-bytes": 7, "rx-packets": 0, "rx-errs": 0, )"
                           R"("rx-dropped": 0, "tx-bytes": 7, "tx-packets": 0, "tx-errs": 0, )"
                           R"("tx-dropped": 0}}])"));
}

/// What a shell runs.
std::string top_of(const std::string& address, const std::string& more = "") {
  return tool_program + " '" + address + "' top --interval 0.2 " + more;
}

/// Sets a variable of the environment for a while, or removes it.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) {
    if (const char* const set = std::getenv(name)) before_ = set;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/// Of a usual terminal.
struct Usual {
  Setting term{"TERM", "xterm-256color"};
  Setting locale{"LC_ALL", "C.UTF-8"};
  Setting no_color{"NO_COLOR", nullptr};
};

/// The line that has this in it.
std::string line_with(const std::string& screen, std::string_view text) {
  const std::size_t at = screen.find(text);
  if (at == std::string::npos) return "";
  const std::size_t begin = screen.rfind('\n', at) + 1;
  return screen.substr(begin, screen.find('\n', at) - begin);
}

bool has_colours(const std::string& output) {
  return std::regex_search(output, std::regex("\x1b\\[[0-9;]*\\b(3[0-8]|4[0-8]|9[0-7])(;|m)"));
}

}  // namespace top_screen

}  // namespace

TEST_CASE("top shows many guests on a screen, sorts them and opens one") {
  using namespace top_screen;
  if (!ScreenOf::is_available()) return void(std::cout << "skipped: tmux is missing\n");
  const Agent first;
  const Agent second;
  ScriptedAgent third;
  tell_network(third, "eth0");
  const Guests guests;
  guests.add("web-1", first.path());
  guests.add("web-2", second.path());
  guests.add("db", third.path());
  guests.add_dead("old");
  ScreenOf screen(top_of(guests.pattern(), "; echo ended: $?; sleep 100"), 80, 24);
  std::string shown = screen.await("4 guests  3 ready  1 no channel");
  shown = screen.await("%");
  CHECK(contains(shown, "every 0.2 s"));
  CHECK(contains(shown, "CPU▼"));
  CHECK(contains(line_with(shown, "old "), "no channel  cannot connect"));
  CHECK_FALSE(contains(shown, "AGENT"));

  screen.type("n");
  shown = screen.await("NAME▲");
  CHECK(shown.find("\ndb ") < shown.find("\nweb-1 "));
  screen.type("n");
  shown = screen.await("NAME▼");
  CHECK(shown.find("\ndb ") > shown.find("\nweb-1 "));

  screen.type("Enter");  // the first line: web-2
  shown = screen.await("INTERFACE");
  CHECK(contains(shown, "web-2  ready  agent "));
  CHECK(contains(shown, "CPU 0"));
  CHECK(contains(shown, "memory"));
  screen.type("'?'");
  screen.await("KEYS");
  screen.type("Escape");
  screen.await("INTERFACE");
  screen.type("Escape");
  screen.await("4 guests");

  screen.resize(200, 60);
  shown = screen.await("AGENT");
  CHECK(contains(line_with(shown, "db "), "9.9"));
  screen.resize(20, 5);
  shown = screen.await_no("AGENT");
  shown = screen.await("NAME");
  screen.resize(80, 24);
  screen.type("/");
  screen.await("name has");
  screen.type("DB Enter");
  shown = screen.await("/DB 1");
  CHECK_FALSE(contains(shown, "web-1"));
  screen.type("q");
  screen.await("ended: 0");
}

TEST_CASE("guests that come and go appear on the screen and disappear") {
  using namespace top_screen;
  if (!ScreenOf::is_available()) return void(std::cout << "skipped: tmux is missing\n");
  ScriptedAgent one;
  ScriptedAgent other;
  tell_network(one, "eth0");
  tell_network(other, "eth0");
  const Guests guests;
  guests.add("one", one.path());
  ScreenOf screen(top_of(guests.pattern(), "; sleep 100"), 80, 24);
  screen.await("1 guest  1 ready");
  guests.add("other", other.path());
  screen.await("2 guests  2 ready");
  guests.remove("one");
  screen.await(" gone");
  screen.await("1 guest  1 ready");
  screen.await_no("one ");
  guests.remove("other");
  screen.await("There is no guest.");
  guests.add("one", one.path());
  screen.await("1 guest  1 ready");
  one.mute();
  screen.type("Enter");
  CHECK(contains(screen.await("one  "), "one  "));
}

TEST_CASE("a single guest's own screen comes at once, and stays when the guest dies") {
  using namespace top_screen;
  if (!ScreenOf::is_available()) return void(std::cout << "skipped: tmux is missing\n");
  Agent agent;
  ScreenOf screen(top_of(agent.path(), "; echo ended: $?; sleep 100"), 200, 60);
  std::string shown = screen.await("INTERFACE");
  CHECK(contains(shown, "qga  ready  agent "));
  CHECK(contains(shown, "READS/s"));
  agent.kill();
  screen.await("no channel");
  agent.restart();
  screen.await("INTERFACE");
  screen.type("q");
  screen.await("ended: 0");
}

TEST_CASE("a hostile guest cannot break the screen of top") {
  using namespace top_screen;
  if (!ScreenOf::is_available()) return void(std::cout << "skipped: tmux is missing\n");
  for (const std::string name :
       {R"(\u001b[2J\u001b[31m\n\u0007\u009b31m)", R"(\u202eabc\u05d0\u05d1)", R"(日本語日本語)",
        R"(e\u0301\u0301\u0301\u0301\u0301)"}) {
    ScriptedAgent agent;
    tell_network(agent, name + std::string(name == "日本語日本語" ? 10'000 : 0, 'x'));
    ScreenOf screen(top_of(agent.path(), "; sleep 100"), 80, 24);
    const std::string shown = screen.await("INTERFACE");
    CHECK_FALSE(contains(shown, "\x1b"));
    const std::string row = line_with(shown.substr(shown.find("INTERFACE")), "0B");
    CHECK(row.ends_with("0B      0B         0"));
    CHECK(contains(shown, "q quit"));
  }
}

TEST_CASE("Ctrl-Z gives the terminal to the shell, and fg takes it again") {
  using namespace top_screen;
  if (!ScreenOf::is_available()) return void(std::cout << "skipped: tmux is missing\n");
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  ScreenOf screen("PS1='prompt: ' bash --norc --noprofile -i", 80, 24);
  screen.await("prompt:");
  screen.type("'stty -a | md5sum >" + agent.path() + ".before' Enter");
  screen.type("\"" + top_of(agent.path()) + "\" Enter");
  screen.await("INTERFACE");
  screen.type("C-z");
  screen.await("Stopped");
  screen.type("'echo shell-$((1 + 1))' Enter");
  screen.await("shell-2");
  screen.type("fg Enter");
  screen.await("INTERFACE");
  screen.type("'?'");
  screen.await("KEYS");
  screen.type("q");
  screen.await("INTERFACE");
  screen.type("C-c");
  screen.type("'echo code-$?; stty -a | md5sum >" + agent.path() + ".after' Enter");
  screen.await("code-130");
  screen.type("'exec sleep 100' Enter");
  for (int i = 0; i < 500 && contents(agent.path() + ".after").empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(contents(agent.path() + ".after") == contents(agent.path() + ".before"));
}

TEST_CASE("every end of top restores the terminal") {
  using namespace top_screen;
  const Usual usual;
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  const std::vector<unsigned> before = OnTerminal::first_modes();
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, 0}) {
    OnTerminal terminal({agent.path(), "top", "--interval", "0.1"});
    terminal.await("INTERFACE");
    CHECK(terminal.modes() != before);
    // Keys that come with the end must not be looked at when the screen is gone.
    if (number != 0) terminal.type("jk");
    number != 0 ? terminal.signal(number) : terminal.type("q");
    const Ended ended = terminal.wait();
    CHECK(ended.code == (number != 0 ? 128 + number : 0));
    CHECK(terminal.modes() == before);
    // The other screen ends, and the cursor is shown.
    CHECK(ended.out.rfind("\x1b[?1049l") > ended.out.rfind("INTERFACE"));
    CHECK(contains(ended.out, "\x1b[?25h"));
    CHECK(has_colours(ended.out));
  }
}

TEST_CASE("top ends although Ctrl-S has stopped its terminal") {
  using namespace top_screen;
  const Usual usual;
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  const std::vector<unsigned> before = OnTerminal::first_modes();
  OnTerminal terminal({agent.path(), "top", "--interval", "0.1"});
  terminal.await("INTERFACE");
  terminal.type("\x13");
  std::this_thread::sleep_for(std::chrono::milliseconds(700));  // it would have drawn several times
  terminal.signal(SIGTERM);
  const Ended ended = terminal.wait();
  CHECK(ended.code == 128 + SIGTERM);
  CHECK(terminal.modes() == before);
  CHECK(contains(ended.out, "\x1b[?1049l"));
}

TEST_CASE("top ends when its terminal is gone") {
  using namespace top_screen;
  const Usual usual;
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  OnTerminal terminal({agent.path(), "top", "--interval", "0.1"});
  terminal.await("INTERFACE");
  terminal.hang_up();
  const int code = terminal.end();
  CHECK((code == 0 || code == 128 + SIGHUP));
}

TEST_CASE("top is without colours where the user or the terminal wants none") {
  using namespace top_screen;
  const Usual usual;
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  for (const char* term : {"xterm-256color", "vt100", "xterm-mono"}) {
    const Setting kind("TERM", term);
    const Setting no_color("NO_COLOR",
                           std::string_view(term).starts_with("xterm-2") ? "1" : nullptr);
    OnTerminal terminal({agent.path(), "top", "--interval", "0.1"});
    terminal.await("INTERFACE");
    terminal.type("q");
    const Ended ended = terminal.wait();
    CHECK(ended.code == 0);
    CHECK_FALSE(has_colours(ended.out));
    CHECK(std::regex_search(ended.out, std::regex("\x1b\\[[0-9;]*7m")));  // headings in reverse
  }
}

TEST_CASE("top prints pictures where there can be no screen") {
  using namespace top_screen;
  const Usual usual;
  ScriptedAgent agent;
  tell_network(agent, "eth0");
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--count", "1"}, {}}) {
    const Setting kind("TERM", more.empty() ? "dumb" : "xterm");
    std::vector<std::string> words{agent.path(), "top", "--interval", "0.1"};
    words.insert(words.end(), more.begin(), more.end());
    OnTerminal terminal(words);
    terminal.await("RECEIVED");
    if (more.empty()) terminal.type("\x03");
    const Ended ended = terminal.wait();
    CHECK(ended.code == (more.empty() ? 130 : 0));
    CHECK_FALSE(contains(ended.out, "\x1b"));
  }
}

TEST_CASE("top says why a single guest cannot be reached") {
  using namespace top_screen;
  const Usual usual;
  const TemporaryDirectory directory;
  OnTerminal terminal({directory.file("none"), "top"});
  const Ended ended = terminal.wait();
  CHECK(ended.code == 3);
  CHECK(contains(ended.out, "qga: cannot connect to "));
  CHECK(terminal.modes() == OnTerminal::first_modes());
}
