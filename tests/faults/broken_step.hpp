// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Breaks one request of a helper, and knows what the guest had been told by then. Requests are
// counted from 1; those of handshakes are left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "fate.hpp"
#include "qga/helpers/upload.hpp"
#include "scripted_guest.hpp"

namespace faults {

/// What happens instead of an answer. The guest does not carry the request out.
enum class Fault { closed, refused, silent, bad };

inline std::ostream& operator<<(std::ostream& out, Fault fault) {
  constexpr const char* names[] = {"closed", "refused", "silent", "bad"};
  return out << names[static_cast<int>(fault)];
}

/// Whether an error is one that the fault may lead to.
inline bool is_expected(const Fate& fate, Fault fault) {
  switch (fault) {
    case Fault::closed:
      return fate.is<qga::ReadError>() || fate.is<qga::WriteError>();
    case Fault::refused:
      return fate.is<qga::AgentError>();
    case Fault::silent:
      // The answer to the next request tells that this one has been skipped.
      return fate.is<qga::TimeoutError>() || fate.is<qga::BadReplyError>();
    default:
      return fate.is<qga::BadReplyError>();
  }
}

class BrokenStep {
 public:
  /// @param guest has to be one that has executed no program yet
  /// @param await_late false: a silent answer that helpers await for 10 s more is given after all
  BrokenStep(qga_test::ScriptedGuest& guest, std::size_t step, Fault fault, bool await_late) {
    guest.before_all([seen = seen_, step, fault, await_late](const qga_test::Heard& heard) {
      return seen->hear(heard, step, fault, await_late);
    });
  }

  bool reached() const { return get(&Seen::reached); }
  bool left_out() const { return get(&Seen::left_out); }
  std::string command() const { return get(&Seen::command); }
  /// Whether anything with an effect was sent until then, and not refused.
  bool effect() const { return get(&Seen::effect); }
  /// Whether a file had been opened before.
  bool opened() const { return get(&Seen::opened); }
  /// The process id of `program`, where the guest had told it before.
  std::optional<std::int64_t> pid() const { return get(&Seen::pid); }

  static constexpr const char* program = "/bin/program";

 private:
  struct Seen {
    std::mutex mutex;
    std::size_t steps = 0;
    std::int64_t next_pid = 5000;
    bool reached = false, left_out = false, effect = false, opened = false;
    std::string command;
    std::optional<std::int64_t> pid;

    std::optional<qga_test::ScriptedAgent::Action> hear(const qga_test::Heard& heard,
                                                        std::size_t step, Fault fault,
                                                        bool await_late) {
      if (heard.command.starts_with("guest-sync") || heard.command == "guest-ping") return {};
      const std::lock_guard lock(mutex);
      if (reached || ++steps > step) return {};
      if (steps == step) return strike(heard, fault, await_late);
      effect |= has_effect(heard);
      opened |= heard.command == "guest-file-open";
      if (heard.command == "guest-exec") {
        if (heard.arguments.dump().find(program) != std::string::npos) pid = next_pid;
        ++next_pid;
      }
      return {};
    }

    std::optional<qga_test::ScriptedAgent::Action> strike(const qga_test::Heard& heard, Fault fault,
                                                          bool await_late) {
      namespace script = qga_test::script;
      reached = true;
      command = heard.command;
      const bool awaited = command == "guest-exec" || command == "guest-file-open";
      left_out = fault == Fault::silent && awaited && !await_late;
      if (left_out) return {};
      effect |= fault != Fault::refused && has_effect(heard);
      switch (fault) {
        case Fault::closed:
          return script::hangs_up();
        case Fault::refused:
          return script::fails("scripted");
        case Fault::silent:
          return script::nothing();
        default:
          return script::returns("[[]]");
      }
    }

    /// An upload has a shell make its file before; that does no harm.
    static bool makes_file(const qga_test::Heard& heard) {
      if (heard.command != "guest-exec") return false;
      const auto args = heard.arguments.value("arg", std::vector<std::string>());
      return args.size() > 1 && args[1] == qga::detail::make_file_script;
    }

    static bool has_effect(const qga_test::Heard& heard) {
      constexpr std::string_view with_effect[] = {"guest-exec",
                                                  "guest-file-write",
                                                  "guest-set-time",
                                                  "guest-ssh-add-authorized-keys",
                                                  "guest-fsfreeze-freeze",
                                                  "guest-fsfreeze-freeze-list",
                                                  "guest-fsfreeze-thaw"};
      if (heard.command == "guest-file-open") return heard.arguments.value("mode", "r") != "r";
      if (makes_file(heard)) return false;
      for (const std::string_view one : with_effect) {
        if (heard.command == one) return true;
      }
      return false;
    }
  };

  template <class Member>
  Member get(Member Seen::*member) const {
    const std::lock_guard lock(seen_->mutex);
    return (*seen_).*member;
  }

  const std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

}  // namespace faults
