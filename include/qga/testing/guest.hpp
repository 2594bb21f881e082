// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A faked guest: files in memory, functions that stand for programs, file systems that freeze in
// name only. It runs nothing, freezes nothing, and touches no file of the host.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "qga/testing/action.hpp"
#include "qga/testing/detail/arguments.hpp"
#include "qga/testing/detail/guest_exec.hpp"
#include "qga/testing/detail/guest_facts.hpp"
#include "qga/testing/detail/guest_files.hpp"
#include "qga/testing/detail/guest_programs.hpp"
#include "qga/testing/files.hpp"
#include "qga/testing/program.hpp"
#include "qga/testing/running_program.hpp"

namespace qga::inline v0_1::testing {

/// A faked guest, behind an `Agent`. All of its methods may be called on any thread, also while a
/// client uses the agent.
///
/// It carries out the commands that begin with `guest-file-`, `guest-exec` and `guest-fsfreeze-`,
/// `guest-get-time` and `guest-set-time`, tells facts about itself that are always the same
/// (`guest-get-host-name`, `guest-get-osinfo`, `guest-get-timezone`, `guest-get-users`,
/// `guest-get-fsinfo`, `guest-network-get-interfaces`), and does not answer `guest-shutdown` and
/// `guest-suspend-*`, as a real one: it runs on, and only the agent's requests show that it was
/// asked. `Agent::on` replaces each of these.
class Guest {
 public:
  Guest() = default;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() { executor_.end_all(); }

  /// The files, to set and to read: `guest.files()["/etc/hostname"] = "web1\n"`. Must not outlive
  /// the guest. There are no directories: every path can be written.
  Files files() { return Files(mutex_, files_.contents); }

  /// How many bytes all files together may have; 1 GiB at first. Where it is too little, a write
  /// fails: "No space left on device".
  void set_disk_size(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    files_.disk_size = bytes;
  }

  /// Makes a function stand for a program.
  /// @param path a client may start it by this path or, as in a PATH, by its last part alone
  /// @param function what the program does, a `Program` or a `LiveProgram`; it replaces an earlier
  ///        one
  template <class Function>
  requires std::convertible_to<Function, Program> || std::convertible_to<Function, LiveProgram>
  void add_program(const std::string& path, Function function) {
    auto added = shared(std::move(function));
    const std::lock_guard lock(mutex_);
    std::swap(programs_.functions[path], added);
  }
  /// Makes a function stand for every program that has none of its own. Without one, starting such
  /// a program fails: "No such file or directory".
  /// @param function a `Program` or a `LiveProgram`
  template <class Function>
  requires std::convertible_to<Function, Program> || std::convertible_to<Function, LiveProgram>
  void add_any_program(Function function) {
    auto added = shared(std::move(function));
    const std::lock_guard lock(mutex_);
    std::swap(programs_.any, added);
  }

  /// Whether the file systems are frozen. Most commands are refused then, as by a real agent.
  bool is_frozen() const {
    const std::lock_guard lock(mutex_);
    return frozen_ > 0;
  }
  /// Freezes or thaws the file systems as somebody within the guest does.
  void set_frozen(bool frozen) {
    const std::lock_guard lock(mutex_);
    frozen_ = frozen ? std::max<std::size_t>(mountpoints_.size(), 1) : 0;
  }
  /// Where file systems are mounted; `/` and `/home` at first. A freeze counts them.
  void set_mountpoints(std::vector<std::string> mountpoints) {
    const std::lock_guard lock(mutex_);
    mountpoints_ = std::move(mountpoints);
  }

  /// How many files a client has opened and not closed.
  std::size_t open_handles() const {
    const std::lock_guard lock(mutex_);
    return files_.open_handles();
  }
  /// How many programs were started whose end was not asked for yet.
  std::size_t started_programs() const {
    const std::lock_guard lock(mutex_);
    return programs_.started();
  }

  /// Does what a reboot does: open files and programs are gone, nothing is frozen, and the numbers
  /// of handles begin from the start. The connection stays, as it does with a virtual machine.
  void restart() {
    executor_.end_all();
    const std::lock_guard lock(mutex_);
    files_.restart();
    frozen_ = 0;
  }

  /// Carries a request out. For the library itself.
  /// @return what the agent does then; none: the guest does not know the command
  std::optional<Action> carry_out(const Request& request) {
    if (!knows(request.command)) return std::nullopt;
    executor_.advance();
    try {
      if (is_frozen() && !works_while_frozen(request.command)) {
        return fails(
            "Command " + request.command + " has been disabled: the agent is in frozen state",
            "CommandNotFound");
      }
      Action action = dispatch(request.command, detail::Arguments(request.arguments));
      executor_.advance();
      return action;
    } catch (const detail::CommandFailed& failed) {
      return fails(failed.what(), failed.error_class());
    } catch (const std::exception& error) {
      return fails(error.what());
    }
  }

  /// Whether an agent carries a command out while file systems are frozen. For the library itself.
  static bool works_while_frozen(std::string_view command) {
    constexpr std::array<std::string_view, 6> allowed{
        "guest-ping",           "guest-info",          "guest-sync",
        "guest-sync-delimited", "guest-fsfreeze-thaw", "guest-fsfreeze-status"};
    return std::find(allowed.begin(), allowed.end(), command) != allowed.end();
  }

  /// The commands that it carries out. For the library itself.
  static std::vector<std::string> commands() {
    std::vector<std::string> names(carried_out.begin(), carried_out.end());
    for (const auto& [command, value] : detail::guest_facts()) names.push_back(command);
    return names;
  }

 private:
  static constexpr std::array<std::string_view, 19> carried_out{"guest-file-open",
                                                                "guest-file-close",
                                                                "guest-file-read",
                                                                "guest-file-write",
                                                                "guest-file-seek",
                                                                "guest-file-flush",
                                                                "guest-exec",
                                                                "guest-exec-status",
                                                                "guest-fsfreeze-freeze",
                                                                "guest-fsfreeze-freeze-list",
                                                                "guest-fsfreeze-thaw",
                                                                "guest-fsfreeze-status",
                                                                "guest-get-time",
                                                                "guest-set-time",
                                                                "guest-get-fsinfo",
                                                                "guest-shutdown",
                                                                "guest-suspend-disk",
                                                                "guest-suspend-ram",
                                                                "guest-suspend-hybrid"};

  static bool knows(const std::string& command) {
    return std::find(carried_out.begin(), carried_out.end(), command) != carried_out.end() ||
           detail::guest_facts().contains(command);
  }

  Action dispatch(const std::string& command, const detail::Arguments& given) {
    if (command == "guest-exec") return returns({{"pid", executor_.exec(given)}});
    if (command == "guest-shutdown" || command.starts_with("guest-suspend-")) return ignores();
    const std::lock_guard lock(mutex_);
    if (const auto process = process_of(command, given)) return returns(files_.open_life(process));
    if (command.starts_with("guest-file-")) return returns(files_.carry_out(command, given));
    if (command == "guest-exec-status") return returns(programs_.status(given.number("pid")));
    if (command.starts_with("guest-fsfreeze-")) return returns(freeze(command, given));
    if (command == "guest-get-time") return returns(now() + clock_offset_);
    if (command == "guest-set-time") {
      clock_offset_ = given.optional_number("time").value_or(now()) - now();
      return returns(nlohmann::json::object());
    }
    if (command == "guest-get-fsinfo") return returns(detail::file_systems(mountpoints_));
    return returns(detail::guest_facts().at(command));
  }

  template <class Function>
  static std::shared_ptr<LiveProgram> shared(Function function) {
    if constexpr (std::convertible_to<Function, Program>) {
      return std::make_shared<LiveProgram>(detail::live(std::move(function)));
    } else {
      return std::make_shared<LiveProgram>(std::move(function));
    }
  }

  /// Whether the program runs whose file below /proc is opened; null: another file or command.
  std::shared_ptr<const bool> process_of(std::string_view command, const detail::Arguments& given) {
    if (command != "guest-file-open") return nullptr;
    for (const auto& process : programs_.all()) {
      const bool runs = *process->alive;
      const std::string path = "/proc/" + std::to_string(process->pid) + "/cmdline";
      if (runs && given.text("path") == path) return process->alive;
    }
    return nullptr;
  }

  /// In nanoseconds since 1970.
  static std::int64_t now() {
    const auto time = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }

  nlohmann::json freeze(std::string_view command, const detail::Arguments& given) {
    if (command == "guest-fsfreeze-status") return frozen_ > 0 ? "frozen" : "thawed";
    if (command == "guest-fsfreeze-thaw") return std::exchange(frozen_, 0);
    frozen_ = mountpoints_.size();
    if (command == "guest-fsfreeze-freeze-list" && given.find("mountpoints") != nullptr) {
      const auto asked = given.texts("mountpoints");
      frozen_ = static_cast<std::size_t>(
          std::count_if(mountpoints_.begin(), mountpoints_.end(), [&](const std::string& one) {
            return std::find(asked.begin(), asked.end(), one) != asked.end();
          }));
    }
    return frozen_;
  }

  mutable std::mutex mutex_;
  detail::GuestFiles files_;
  detail::GuestPrograms programs_;
  detail::GuestExecutor executor_{mutex_, files_, programs_};
  std::vector<std::string> mountpoints_{"/", "/home"};
  std::size_t frozen_ = 0;         ///< how many file systems are
  std::int64_t clock_offset_ = 0;  ///< in nanoseconds, from the host's clock
};

}  // namespace qga::inline v0_1::testing
