// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Runs the tool as a user would: as a program, with its own stdin, stdout and stderr, or on a
// terminal.
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.hpp"

namespace qga_test {

inline const std::string tool_program = QGA_TEST_TOOL;

/// How it ended.
struct Ended {
  int code = -1;  ///< as a shell has it
  std::string out;
  std::string err;
};

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Also where the tests run in the background, which ignores Ctrl-C.
inline void listen_to_signals() {
  for (const int number : {SIGINT, SIGHUP, SIGQUIT}) std::signal(number, SIG_DFL);
}

/// The tool, or another program, on its way. Is killed where it outlives its owner.
class Running {
 public:
  /// @param input a file that is its stdin
  explicit Running(const std::vector<std::string>& arguments,
                   const std::string& input = "/dev/null",
                   const std::string& program = tool_program) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string out = files_.file("out");
    const std::string err = files_.file("err");

    pid_ = ::fork();
    if (pid_ == 0) {
      listen_to_signals();
      put(input, O_RDONLY, STDIN_FILENO);
      put(out, O_WRONLY | O_CREAT, STDOUT_FILENO);
      put(err, O_WRONLY | O_CREAT, STDERR_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(126);
    }
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void signal(int number) const { ::kill(pid_, number); }
  std::string out() const { return contents(files_.file("out")); }
  std::string err() const { return contents(files_.file("err")); }
  /// Until it has said so on stderr.
  void await(std::string_view text) const { await_in("err", text); }
  /// Until it has written so to stdout.
  void await_out(std::string_view text) const { await_in("out", text); }

  Ended wait() {
    int status = 0;
    for (int i = 0; ::waitpid(pid_, &status, WNOHANG) == 0; ++i) {
      if (i == 6000) throw std::runtime_error("the tool does not end");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            contents(files_.file("out")), err()};
  }

 private:
  void await_in(std::string_view file, std::string_view text) const {
    for (int i = 0; i < 3000; ++i) {
      if (contains(contents(files_.file(file)), text)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the tool has not said: " + std::string(text));
  }
  static void put(const std::string& path, int flags, int as) {
    const int fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0 || ::dup2(fd, as) < 0) ::_exit(126);
  }

  TemporaryDirectory files_;
  pid_t pid_ = -1;
};

inline Ended run_tool(const std::vector<std::string>& arguments) {
  return Running(arguments).wait();
}

inline Ended run_tool(const std::vector<std::string>& arguments, std::string_view input) {
  const TemporaryDirectory directory;
  const std::string file = directory.file("in");
  std::ofstream(file, std::ios::binary) << input;
  return Running(arguments, file).wait();
}

/// The tool on a terminal of its own.
class OnTerminal {
 public:
  explicit OnTerminal(const std::vector<std::string>& arguments,
                      const std::string& program = tool_program) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      listen_to_signals();
      ::execv(argv[0], argv.data());
      ::_exit(126);
    }
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;
  ~OnTerminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (terminal_ >= 0) ::close(terminal_);
  }

  void type(std::string_view keys) const {
    if (::write(terminal_, keys.data(), keys.size()) < 0) throw std::runtime_error("cannot type");
  }
  void signal(int number) const { ::kill(pid_, number); }
  /// As when its window is given another size: the kernel sends SIGWINCH.
  void resize(unsigned short rows, unsigned short columns) const {
    const winsize size{rows, columns, 0, 0};
    if (::ioctl(terminal_, TIOCSWINSZ, &size) != 0) throw std::runtime_error("cannot resize");
  }
  /// The settings of the terminal, comparable.
  std::vector<unsigned> modes() const { return modes_of(terminal_); }
  /// Those of a terminal that nobody has set.
  static std::vector<unsigned> first_modes() {
    int ours = -1;
    int theirs = -1;
    if (::openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) {
      throw std::runtime_error("no terminal");
    }
    std::vector<unsigned> modes = modes_of(ours);
    ::close(ours);
    ::close(theirs);
    return modes;
  }
  /// Until its settings are other ones than these.
  void await_change(const std::vector<unsigned>& before) const {
    for (int i = 0; i < 3000; ++i) {
      if (modes() != before) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the tool does not set the terminal");
  }
  /// As when its window is closed.
  void hang_up() { ::close(std::exchange(terminal_, -1)); }
  /// Reads until this has been shown. @return all that has been shown
  const std::string& await(std::string_view text) {
    while (!contains(shown_, text)) {
      if (!read_some()) throw std::runtime_error("ended without: " + std::string(text) + shown_);
    }
    return shown_;
  }
  /// What it has shown in all is in `out`.
  Ended wait() {
    while (read_some()) {
    }
    return {end(), shown_, ""};
  }
  /// Its exit code, once it has ended.
  int end() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::vector<unsigned> modes_of(int terminal) {
    termios set{};
    if (::tcgetattr(terminal, &set) != 0) throw std::runtime_error("no settings of a terminal");
    std::vector<unsigned> all{set.c_iflag, set.c_oflag, set.c_cflag, set.c_lflag};
    all.insert(all.end(), std::begin(set.c_cc), std::end(set.c_cc));
    return all;
  }
  bool read_some() {
    pollfd fds{terminal_, POLLIN, 0};
    if (::poll(&fds, 1, 60'000) != 1) throw std::runtime_error("the tool shows nothing");
    std::array<char, 4096> buffer;
    const ssize_t size = ::read(terminal_, buffer.data(), buffer.size());
    if (size <= 0) return false;  // EIO: the other end is closed
    shown_.append(buffer.data(), static_cast<std::size_t>(size));
    return true;
  }

  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string shown_;
};

}  // namespace qga_test
