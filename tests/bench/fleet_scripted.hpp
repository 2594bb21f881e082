// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Guests by the ten thousand: one process that answers any number of clients as a real agent has
// answered before. Its work per request is next to nothing, so that a sweep is a client's.
#pragma once

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.hpp"
#include "fleet_raw.hpp"
#include "sockets.hpp"

namespace fleet {

class ScriptedGuests {
 public:
  /// To be made before there are threads: it forks.
  explicit ScriptedGuests(const std::vector<Exchange>& exchanges) : replies_(recorded(exchanges)) {
    qga_test::Descriptor listener = qga_test::listening_on(path(), SOMAXCONN);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) qga_test::TemporaryDirectory::fail("fork");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) serve(listener.get());
    ::_exit(1);
  }
  ScriptedGuests(const ScriptedGuests&) = delete;
  ScriptedGuests& operator=(const ScriptedGuests&) = delete;
  ~ScriptedGuests() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// Each connection to it is a guest.
  std::string path() const { return directory_.file("guests.sock"); }
  pid_t pid() const { return pid_; }

 private:
  using Replies = std::map<std::string, std::string, std::less<>>;

  static std::string_view between(std::string_view text, std::string_view before, char end) {
    const std::size_t begin = text.find(before);
    if (begin == text.npos) return {};
    text.remove_prefix(begin + before.size());
    return text.substr(0, text.find(end));
  }
  static std::string_view command_of(std::string_view line) {
    return between(line, "\"execute\":\"", '"');
  }

  /// What a real agent answers to each command, up to the id.
  static Replies recorded(const std::vector<Exchange>& exchanges) {
    const qga_test::Agent agent;
    const qga_test::Descriptor socket = qga_test::connected_to(agent.path());
    Replies replies{{"guest-ping", "{\"return\": {}"}};
    for (std::size_t i = 1; i < exchanges.size(); ++i) {
      const std::string& request = exchanges[i].request;
      qga_test::write_all(socket, request);
      std::string line;
      for (char c = 0; c != '\n'; line += c) {
        if (::read(socket.get(), &c, 1) != 1) qga_test::TemporaryDirectory::fail("read");
      }
      replies.emplace(command_of(request), line.substr(0, line.rfind(", \"id\": ")));
    }
    return replies;
  }

  void serve(int listener) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    const auto watch = [&](int fd) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = fd;
      ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener);
    for (;;) {
      std::array<epoll_event, 128> events;
      const int ready = ::epoll_wait(epoll, events.data(), events.size(), -1);
      for (int i = 0; i < ready; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener) {
          watch(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
        } else if (!answer(fd)) {
          ::close(fd);
        }
      }
    }
  }

  /// A client sends whole lines, few at a time: what is read at once ends with one. False: it left.
  bool answer(int fd) const {
    std::array<char, 4096> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    std::string_view input(buffer.data(), static_cast<std::size_t>(got));
    std::string output;
    for (auto end = input.find('\n'); end != input.npos; end = input.find('\n')) {
      answer(input.substr(0, end), output);
      input.remove_prefix(end + 1);
    }
    return ::send(fd, output.data(), output.size(), MSG_NOSIGNAL) > 0;
  }

  void answer(std::string_view line, std::string& output) const {
    const std::string_view command = command_of(line);
    if (line.starts_with('\xFF')) {
      output += "{\"error\": {\"class\": \"GenericError\", \"desc\": \"stray byte\"}}\n";
    }
    if (command == "guest-sync-delimited") {
      output.append("\xFF{\"return\": ").append(between(line, "\"id\":", '}')).append("}\n");
    } else if (command == "guest-sync") {
      const std::string_view id = between(line, "\"id\":", '}');
      output.append("{\"return\": ").append(id).append(", \"id\": ").append(id).append("}\n");
    } else if (const auto reply = replies_.find(command); reply != replies_.end()) {
      output.append(reply->second).append(", \"id\": ").append(between(line, "\"id\":", '}'));
      output += "}\n";
    }
  }

  qga_test::TemporaryDirectory directory_;
  const Replies replies_;
  pid_t pid_ = -1;
};

}  // namespace fleet
