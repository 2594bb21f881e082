// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand metrics: prints the figures of the guests once, or serves them to Prometheus.
#include "../metrics.hpp"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>
#include <asio/executor_work_guard.hpp>

#include "../exit_code.hpp"
#include "fleet.hpp"
#include "page_server.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

/// A file in the place of the output, which it becomes when it is whole.
class NewFile {
 public:
  explicit NewFile(const std::string& path) : path_(path), name_(path + ".XXXXXX") {
    fd_ = ::mkostemp(name_.data(), O_CLOEXEC);
    if (fd_ < 0) fail("create");
  }
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(name_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t size = ::write(fd_, text.data(), text.size());
      if (size < 0 && errno != EINTR) fail("write");
      if (size > 0) text.remove_prefix(static_cast<std::size_t>(size));
    }
  }

  void put_in_place() {
    constexpr mode_t readable = 0644;
    if (::fchmod(fd_, readable) != 0 || ::rename(name_.c_str(), path_.c_str()) != 0) fail("create");
    ::close(fd_);
    fd_ = -1;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw std::runtime_error(std::string("cannot ") + what + " '" + path_ +
                             "': " + std::system_category().message(errno));
  }

  std::string path_;
  std::string name_;
  int fd_ = -1;
};

/// The file to replace: that which a symbolic link leads to, and no device.
std::string file_to_replace(const std::string& given) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::exists(given, error)) return given;
  if (!fs::is_regular_file(given, error)) {
    throw UsageError("--output must name a regular file, not '" + given + "'");
  }
  return fs::canonical(given);
}

/// Runs the context until it is stopped, or a signal has asked the tool to end.
void run_until_stopped(Tool& tool) {
  const auto work = asio::make_work_guard(tool.context);
  const std::stop_callback on_signal(tool.stop.token(), [&tool] { tool.context.stop(); });
  tool.context.run();
}

int print_once(Tool& tool, const MetricsOptions& options) {
  tool.guests.now();  // throws where there is none
  std::optional<NewFile> file;
  if (!options.output.empty() && options.output != "-") {
    file.emplace(file_to_replace(options.output));
  }
  Fleet::Text text;
  {
    Fleet fleet(tool);
    fleet.look([&](const Fleet::Text& made) {
      text = made;
      tool.context.stop();
    });
    run_until_stopped(tool);
  }
  close_connections(tool);
  if (!text) throw InterruptedError();
  if (!file) {
    std::cout << *text;
    return exit_done;
  }
  file->write(*text);
  file->put_in_place();
  return exit_done;
}

int serve(Tool& tool, const std::string& where) {
  try {
    tool.guests.now();
  } catch (const UsageError& error) {
    if (!tool.guests.file.empty()) throw;
    tool.note(std::string(error.what()) + "; there may be some later");
  }
  {
    Fleet fleet(tool);
    const PageServer server(tool.context, where,
                            [&fleet](Fleet::Done done) { fleet.look(std::move(done)); });
    for (const std::string& url : server.urls()) tool.note("serves " + url);
    run_until_stopped(tool);
  }
  close_connections(tool);
  return 128 + tool.stop.signal();
}

}  // namespace

int metrics(Tool& tool, const MetricsOptions& options) {
  if (tool.json) throw UsageError("metrics has no JSON: remove --json");
  return options.listen.empty() ? print_once(tool, options) : serve(tool, options.listen);
}

}  // namespace qga_tool
