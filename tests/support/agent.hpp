// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A real agent on this machine, harmless: every dangerous command is blocked, it runs as an
// ordinary user where that is possible, and it leaves nothing behind.
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qga_test {

/// What an agent on a developer's machine must never do.
inline constexpr std::array<std::string_view, 15> blocked_commands{
    "guest-shutdown",
    "guest-suspend-disk",
    "guest-suspend-ram",
    "guest-suspend-hybrid",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-thaw",
    "guest-fstrim",
    "guest-set-time",
    "guest-set-vcpus",
    "guest-set-memory-blocks",
    "guest-set-user-password",
    "guest-ssh-get-authorized-keys",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-remove-authorized-keys",
};

/// A directory of its own, removed in the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "qga-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail("mkdtemp");
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string file(std::string_view name) const { return (path_ / name).string(); }

  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::system_category(), what);
  }

 private:
  std::filesystem::path path_;
};

/// A running qemu-ga on a UNIX socket. It serves one client at a time.
/// To be started from the main thread: the kernel ends it together with the thread that started it.
class Agent {
 public:
  explicit Agent(std::vector<std::string> more_options = {}) : options_(std::move(more_options)) {
    const passwd* const nobody = ::geteuid() == 0 ? ::getpwnam("nobody") : nullptr;
    if (nobody != nullptr) {
      user_ = nobody->pw_uid;
      group_ = nobody->pw_gid;
    }
    std::filesystem::create_directory(file("state"));
    for (const std::string& path : {file(""), file("state")}) {
      if (nobody != nullptr && ::chown(path.c_str(), user_, group_) != 0) {
        TemporaryDirectory::fail("chown");
      }
    }
    start();
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent() { end(); }

  /// Of its socket.
  const std::string& path() const { return path_; }
  /// In a directory in which the agent may write.
  std::string file(std::string_view name) const { return directory_.file(name); }
  /// Writes a file that it may read and write, and gives its path.
  std::string put(std::string_view name, std::string_view bytes) const {
    const std::string path = file(name);
    std::ofstream(path, std::ios::binary) << bytes;
    if (::chmod(path.c_str(), 0666) != 0) TemporaryDirectory::fail("chmod");
    return path;
  }
  /// What a file holds.
  std::string get(std::string_view name) const { return text_of(file(name)); }
  pid_t pid() const { return pid_; }
  /// How often it has a file of its directory open.
  std::size_t opened(std::string_view name) const {
    std::size_t count = 0;
    for (const auto& fd :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd")) {
      std::error_code ignored;
      count += std::filesystem::read_symlink(fd.path(), ignored) == file(name);
    }
    return count;
  }

  /// Stops it in the middle of whatever it does; returns once it stands still.
  void stop() {
    signal(SIGSTOP);
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
    if (!WIFSTOPPED(status)) throw std::runtime_error("the agent did not stop");
  }

  void resume() { signal(SIGCONT); }

  /// SIGKILL; returns once it is gone.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    reap(0);
  }

  /// Another agent in the place of this one, which is killed if it still runs.
  void restart() {
    kill();
    start();
  }

  /// False once it has exited, whyever.
  bool alive() { return pid_ > 0 && !reap(WNOHANG); }

  /// Where the program is: the environment may name it, for an agent of another age.
  static std::string program() {
    if (const char* const named = std::getenv("QGA_AGENT")) return named;
    const char* const set = std::getenv("PATH");
    std::istringstream directories(std::string(set != nullptr ? set : "") + ":/usr/sbin:/sbin");
    for (std::string directory; std::getline(directories, directory, ':');) {
      const std::string candidate = directory + "/qemu-ga";
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    throw std::runtime_error("no qemu-ga found: install qemu-guest-agent");
  }

  static constexpr auto patience = std::chrono::seconds(60);

 private:
  void start() {
    // -b is --block-rpcs since QEMU 7.2, --blacklist before.
    std::string blocked;
    for (const std::string_view command : blocked_commands) {
      blocked.append(blocked.empty() ? "" : ",").append(command);
    }
    std::vector<std::string> words{program(), "-m",          "unix-listen", "-p",        path_,
                                   "-t",      file("state"), "-f",          file("pid"), "-b",
                                   blocked,   "-l",          file("log")};
    words.insert(words.end(), options_.begin(), options_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::unlink(path_.c_str());

    const std::string output = file("output");
    const std::string home = file("");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) TemporaryDirectory::fail("fork");
    if (pid_ == 0) become(argv, output, home, parent);

    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!listens()) {
      if (!alive() || std::chrono::steady_clock::now() > deadline) {
        end();
        throw std::runtime_error("qemu-ga did not start: " + text_of(output) +
                                 text_of(file("log")));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  /// The child, between fork and exec: system calls only.
  [[noreturn]] void become(const std::vector<char*>& argv, const std::string& output,
                           const std::string& home, pid_t parent) const {
    // A connection of a test that the agent inherited would never end.
    for (int fd = 0; fd < 1024; ++fd) ::close(fd);
    ::open("/dev/null", O_RDONLY);
    ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(1, 2);
    if (::chdir(home.c_str()) != 0) ::_exit(125);
    if (user_ != 0) {
      static_cast<void>(!::setgroups(0, nullptr));
      static_cast<void>(!::setgid(group_));
      static_cast<void>(!::setuid(user_));
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after setuid, which clears it
    if (::getppid() != parent) ::_exit(125);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execv(argv.front(), argv.data());
    ::_exit(127);
  }

  /// Looks without connecting: a connection would be a client, and the only one.
  bool listens() const {
    std::ifstream sockets("/proc/net/unix");
    for (std::string line; std::getline(sockets, line);) {
      if (line.ends_with(" " + path_) && line.find(" 00010000 ") != std::string::npos) return true;
    }
    return false;
  }

  void signal(int number) {
    if (pid_ <= 0 || ::kill(pid_, number) != 0) throw std::runtime_error("the agent is gone");
  }

  /// True where the agent is gone.
  bool reap(int flags) {
    pid_t reaped = 0;
    do {
      reaped = ::waitpid(pid_, nullptr, flags);
    } while (reaped < 0 && errno == EINTR);
    if (reaped == 0) return false;
    pid_ = -1;
    return true;
  }

  void end() noexcept {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGCONT);
    ::kill(pid_, SIGTERM);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (pid_ > 0 && !reap(WNOHANG)) {
      if (std::chrono::steady_clock::now() > deadline) return kill();
      ::usleep(2000);
    }
  }

  static std::string text_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  TemporaryDirectory directory_;
  std::vector<std::string> options_;
  uid_t user_ = 0;
  gid_t group_ = 0;
  std::string path_ = file("qga.sock");
  pid_t pid_ = -1;
};

}  // namespace qga_test
