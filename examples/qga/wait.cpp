// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand wait: until the agent answers, the guest has an address, a program ends with 0,
// file systems are frozen or thawed, or the guest is gone.
#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "each_guest.hpp"
#include "print.hpp"
#include "run_options.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

struct WaitOptions {
  std::string command;
  std::optional<std::string> family;
  std::string mac;
  bool run = false;
  bool frozen = false;
  bool thawed = false;
  bool gone = false;
  std::optional<double> limit;

  qga::Clock::duration time() const {
    constexpr double wait_limit = 300;
    return duration_of(limit.value_or(wait_limit));
  }
};

std::string text_of(const qga::Readiness& readiness, const std::string& command) {
  switch (readiness.state) {
    case qga::ReadyState::no_socket:
      return "no channel: " + readiness.err.message();
    case qga::ReadyState::silent:
      return "nobody answers";
    case qga::ReadyState::frozen:
      return "frozen";
    case qga::ReadyState::disabled:
      return command + " is not enabled";
    default:
      return "ready";
  }
}

int exit_code_of(qga::ReadyState state) {
  const bool reached = state != qga::ReadyState::no_socket && state != qga::ReadyState::silent;
  return reached ? exit_failed : exit_unreachable;
}

/// What was waited for goes to stdout, and why it has not come to stderr.
void answer(GuestTask& task, const std::string& text, nlohmann::json json, int status) {
  const bool is_so = status == exit_done;
  task.answer({.text = is_so ? text : "",
               .json = std::move(json),
               .complaint = is_so ? "" : text,
               .status = status});
}

void wait_ready(GuestTask& task, const WaitOptions& options) {
  const auto then = [&task, options](const qga::Readiness& readiness) {
    const std::string text = text_of(readiness, options.command);
    const std::chrono::duration<double> waited = readiness.waited;
    answer(task, text + " after " + seconds_text(readiness.waited),
           {{"ready", bool(readiness)},
            {"state", readiness.state},
            {"text", text},
            {"seconds", waited.count()}},
           readiness ? exit_done : exit_code_of(readiness.state));
  };
  task.ga(task.needed(then)).wait_ready(options.time(), options.command);
}

void wait_address(GuestTask& task, const WaitOptions& options) {
  const auto family = *options.family == "v4"   ? qga::GuestIpAddressType::ipv4
                      : *options.family == "v6" ? qga::GuestIpAddressType::ipv6
                                                : qga::GuestIpAddressType::unknown;
  const auto then = [&task](const std::optional<qga::GuestAddress>& address) {
    answer(task, address ? address->address : "no address",
           address ? nlohmann::json(*address) : nlohmann::json(),
           address ? exit_done : exit_failed);
  };
  task.ga(task.needed(then)).wait_address(family, options.mac, options.time());
}

std::string text_of(const qga::WaitResult& result) {
  if (result) return "ended with 0 after " + seconds_text(result.waited);
  if (!result.error.empty()) return result.error;
  if (!result.last) return "was never run to its end: the guest was not ready";
  return "has not ended with 0; the last time with " +
         std::to_string(result.last->exit_code.value_or(-1));
}

void wait_for_program(GuestTask& task, const WaitOptions& options) {
  const std::vector<std::string>& program = task.tool().program;
  qga::RunParams params;
  params.args.assign(program.begin() + 1, program.end());
  const auto then = [&task](const qga::WaitResult& result) {
    nlohmann::json told = result;
    if (result.last) told["last"] = qga_tool::json_of(*result.last);
    answer(task, text_of(result), told, result ? exit_done : exit_code_of(result.state));
  };
  task.ga(task.needed(then)).wait_for(program.front(), std::move(params), options.time());
}

/// Looks at a guest again and again, until it is as it has to be or the time is up.
class Poll : public std::enable_shared_from_this<Poll> {
 public:
  Poll(GuestTask& task, std::string what, qga::Clock::duration time)
      : task_(task), what_(std::move(what)), until_(qga::deadline_after(time, begun_)) {}
  virtual ~Poll() = default;

  /// Looks, and in the end calls `seen` or fails the task.
  virtual void look() = 0;

 protected:
  GuestTask& task() const { return task_; }
  qga::Clock::time_point until() const { return until_; }

  void seen(bool is_so) {
    const auto now = qga::Clock::now();
    if (is_so || now >= until_) return end(is_so, now - begun_);
    task_.pause(std::min<qga::Clock::duration>(until_ - now, 500ms),
                [self = shared_from_this()] { self->look(); });
  }

 private:
  void end(bool is_so, qga::Clock::duration waited) {
    const std::chrono::duration<double> seconds = waited;
    answer(task_, (is_so ? what_ : "not " + what_) + " after " + seconds_text(waited),
           {{what_, is_so}, {"seconds", seconds.count()}}, is_so ? exit_done : exit_failed);
  }

  GuestTask& task_;
  std::string what_;
  qga::Clock::time_point begun_ = qga::Clock::now();
  qga::Clock::time_point until_;
};

bool is_unreachable(const std::exception_ptr& error) {
  const qga::GuestAgentError* const known = qga::error_of(error);
  return known != nullptr && known->is_unreachable();
}

class PollStatus : public Poll {
 public:
  PollStatus(GuestTask& task, bool frozen, qga::Clock::duration time)
      : Poll(task, frozen ? "frozen" : "thawed", time),
        wanted_(frozen ? qga::GuestFsfreezeStatus::frozen : qga::GuestFsfreezeStatus::thawed) {}

  void look() override {
    const auto then = [this, self = shared_from_this()](std::exception_ptr error,
                                                        qga::GuestFsfreezeStatus status) {
      if (!error) return seen(status == wanted_);
      is_unreachable(error) ? connect() : task().fail(std::move(error));
    };
    task().execute(qga::GuestFsfreezeStatusRequest(), then);
  }

 private:
  void connect() {
    const auto left = std::max<qga::Clock::duration>(until() - qga::Clock::now(), 0s);
    const auto then = [this, self = shared_from_this()](const qga::Readiness&) { seen(false); };
    task().ga(task().needed(then)).wait_ready(left);
  }

  qga::GuestFsfreezeStatus wanted_;
};

/// A guest is gone where there is no channel, or where the agent has not answered for a while.
class PollGone : public Poll {
 public:
  PollGone(GuestTask& task, qga::Clock::duration time) : Poll(task, "gone", time) {}

  void look() override {
    if (connected_) return ping();
    task().reconnect([this, self = shared_from_this()](const std::exception_ptr& error) {
      if (!error) connected_ = true;
      error ? failed(error) : ping();
    });
  }

 private:
  void ping() {
    const auto then = [this, self = shared_from_this()](const std::exception_ptr& error) {
      if (error) return failed(error);
      answered_ = qga::Clock::now();
      seen(false);
    };
    qga::CallOptions options;
    if (!task().tool().timeout) options.timeout = 2s;
    task().ga(then, std::move(options)).ping();
  }

  void failed(const std::exception_ptr& error) {
    constexpr auto silent_for = 10s;
    try {
      std::rethrow_exception(error);
    } catch (const qga::ConnectError&) {
      seen(true);
    } catch (const qga::TimeoutError&) {
      seen(qga::Clock::now() >= answered_ + silent_for);
    } catch (const qga::UnreachableError&) {
      connected_ = false;
      seen(false);
    } catch (const std::exception&) {
      task().fail(error);
    }
  }

  qga::Clock::time_point answered_ = qga::Clock::now();
  bool connected_ = false;
};

void begin_wait(GuestTask& task, const WaitOptions& options) {
  if (options.family) return wait_address(task, options);
  if (options.run) return wait_for_program(task, options);
  if (options.gone) return std::make_shared<PollGone>(task, options.time())->look();
  if (!options.frozen && !options.thawed) return wait_ready(task, options);
  std::make_shared<PollStatus>(task, options.frozen, options.time())->look();
}

/// Whether it is six bytes in hexadecimal, with colons or dashes between them.
bool is_mac(std::string_view text) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool fits =
        i % 3 == 2 ? c == ':' || c == '-' : std::isxdigit(static_cast<unsigned char>(c)) != 0;
    if (!fits) return false;
  }
  return true;
}

int wait(Tool& tool, const WaitOptions& options) {
  const int kinds = int(options.family.has_value()) + int(options.run) + int(options.frozen) +
                    int(options.thawed) + int(options.gone) + int(!options.command.empty());
  if (kinds > 1) throw UsageError("wait must be used for one thing at a time");
  if (options.run != !tool.program.empty()) {
    throw UsageError("wait --run must be used with a program behind --");
  }
  if (!options.mac.empty() && !options.family) {
    throw UsageError("--mac must be used with --address");
  }
  if (!options.mac.empty() && !is_mac(options.mac)) {
    throw UsageError("--mac must be six bytes, as in 52:54:00:12:34:56, not '" + options.mac + "'");
  }
  const auto work = [&options](GuestTask& task) { begin_wait(task, options); };
  return each_guest(tool, work, Connected::later);
}

}  // namespace

void define_wait(CLI::App& app, Tool& tool) {
  const auto options = std::make_shared<WaitOptions>();
  CLI::App* const sub = define(
      app, tool, "wait", "Wait for the agent, or for something in the guest",
      [&tool, options] { return wait(tool, *options); }, Program::optional);
  sub->add_option("--command", options->command, "A command that must be enabled, too")
      ->type_name("NAME");
  allow(sub->add_option("--address", options->family, "Until it has an address of this family"),
        {"any", "v4", "v6"});
  sub->add_option("--mac", options->mac, "With --address: of the interface that has this one")
      ->type_name("MAC");
  sub->add_flag("--run", options->run, "Until the program behind -- has ended with 0");
  sub->add_flag("--frozen", options->frozen, "Until its file systems are frozen");
  sub->add_flag("--thawed", options->thawed, "Until its file systems are thawed");
  sub->add_flag("--gone", options->gone,
                "Until it is gone: there is no channel, or the agent has not answered for 10 s");
  seconds_option(sub, "--for", options->limit, "How long to wait (300)");
  sub->footer(
      "Waiting goes on where the guest or its agent is restarted. The program of --run is run "
      "again until it ends with 0, so it must be one that does no harm if it runs twice.");
}

}  // namespace qga_tool
