// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The subcommand wait: until the agent answers, the guest has an address, a program ends with 0,
// file systems are frozen or thawed, or the guest is gone.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "print.hpp"
#include "program_end.hpp"
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

int wait_ready(Tool& tool, const WaitOptions& options) {
  const qga::Readiness readiness = tool.ga().wait_ready(options.time(), options.command);
  const std::string text = text_of(readiness, options.command);
  if (tool.json) {
    const std::chrono::duration<double> waited = readiness.waited;
    print_json({{"ready", bool(readiness)},
                {"state", readiness.state},
                {"text", text},
                {"seconds", waited.count()}});
  } else {
    print(text + " after " + seconds_text(readiness.waited));
  }
  return readiness ? exit_done : exit_code_of(readiness.state);
}

int wait_address(Tool& tool, const WaitOptions& options) {
  const auto family = *options.family == "v4"   ? qga::GuestIpAddressType::ipv4
                      : *options.family == "v6" ? qga::GuestIpAddressType::ipv6
                                                : qga::GuestIpAddressType::unknown;
  const auto address = tool.ga().wait_address(family, options.mac, options.time());
  if (tool.json) {
    print_json(address ? nlohmann::json(*address) : nlohmann::json());
  } else {
    print(address ? address->address : "no address");
  }
  return address ? exit_done : exit_failed;
}

int wait_for_program(Tool& tool, const WaitOptions& options) {
  qga::RunParams params;
  params.args.assign(tool.program.begin() + 1, tool.program.end());
  const qga::WaitResult result =
      tool.ga().wait_for(tool.program.front(), std::move(params), options.time());
  if (tool.json) {
    nlohmann::json told = result;
    if (result.last) told["last"] = json_of_run(*result.last);
    print_json(told);
  } else if (result) {
    print("ended with 0 after " + seconds_text(result.waited));
  } else if (!result.error.empty()) {
    print(result.error);
  } else if (result.last) {
    print("has not ended with 0; the last time with " +
          std::to_string(result.last->exit_code.value_or(-1)));
  } else {
    print("was never run to its end: the guest was not ready");
  }
  return result ? exit_done : exit_code_of(result.state);
}

/// Looks again and again. @param look whether it is as it has to be; may throw
template <class Look>
int wait_until(Tool& tool, const WaitOptions& options, const std::string& what, Look look) {
  const auto begun = qga::Clock::now();
  const auto until = qga::deadline_after(options.time(), begun);
  bool is_so = false;
  while (!(is_so = look(until)) && qga::Clock::now() < until) {
    if (tool.stop.wait(-1, std::min(until, qga::Clock::now() + 500ms)) == Stop::Woken::stopped) {
      throw std::runtime_error("interrupted");
    }
  }
  const auto waited = qga::Clock::now() - begun;
  if (tool.json) {
    const std::chrono::duration<double> seconds = waited;
    print_json({{what, is_so}, {"seconds", seconds.count()}});
  } else {
    print((is_so ? what : "not " + what) + " after " + seconds_text(waited));
  }
  return is_so ? exit_done : exit_failed;
}

int wait_status(Tool& tool, const WaitOptions& options) {
  const auto wanted =
      options.frozen ? qga::GuestFsfreezeStatus::frozen : qga::GuestFsfreezeStatus::thawed;
  return wait_until(tool, options, options.frozen ? "frozen" : "thawed", [&](auto until) {
    try {
      return tool.ga().fsfreeze_status() == wanted;
    } catch (const qga::UnreachableError&) {
      tool.ga().wait_ready(std::max<qga::Clock::duration>(until - qga::Clock::now(), 0s));
      return false;
    }
  });
}

/// A guest is gone where there is no channel, or where the agent has not answered for a while.
int wait_gone(Tool& tool, const WaitOptions& options) {
  constexpr auto silent_for = 10s;
  auto answered = qga::Clock::now();
  return wait_until(tool, options, "gone", [&, connected = false](auto) mutable {
    try {
      if (!std::exchange(connected, true)) tool.client(true).reconnect();
      tool.ga(2s).ping();
      answered = qga::Clock::now();
    } catch (const qga::ConnectError&) {
      return true;
    } catch (const qga::TimeoutError&) {
      return qga::Clock::now() >= answered + silent_for;
    } catch (const qga::UnreachableError&) {
      connected = false;
    }
    return false;
  });
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
  tool.client(true);
  if (options.family) return wait_address(tool, options);
  if (options.run) return wait_for_program(tool, options);
  if (options.frozen || options.thawed) return wait_status(tool, options);
  return options.gone ? wait_gone(tool, options) : wait_ready(tool, options);
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
