// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Texts and documents about guests that were to be frozen together.
#include "freeze_report.hpp"

#include <chrono>
#include <exception>
#include <set>

#include "exit_code.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

using State = GuestFreeze::State;

const char* name_of(State state) {
  switch (state) {
    case State::thawed:
      return "thawed";
    case State::frozen:
      return "frozen";
    case State::others:
      return "frozen-by-others";
    case State::unknown:
      break;
  }
  return "unknown";
}

/// What is known of a guest whose thaw was not answered.
void tell_rescue(const Tool& tool, const GuestFreeze& result, const std::string& begin) {
  if (result.is_rescued) tool.note(begin + "the guest was asked again, and is thawed");
  if (result.state != State::unknown) return;
  complain("THE GUEST MAY STILL BE FROZEN: thaw it with: qga " + result.guest.address + " thaw");
}

template <class T>
nlohmann::json json_or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

}  // namespace

std::string count_text(std::optional<std::int64_t> count) {
  if (!count) return "file systems";
  return std::to_string(*count) + (*count == 1 ? " file system" : " file systems");
}

int tell_error(const Tool& tool, const GuestFreeze& result) {
  int code = exit_failed;
  try {
    std::rethrow_exception(result.error);
  } catch (const std::exception&) {
    code = explain_error(tool);
  }
  tell_rescue(tool, result, "");
  return code;
}

void tell_each(const Tool& tool, const std::vector<GuestFreeze>& results) {
  for (const GuestFreeze& one : results) {
    const std::string begin = one.guest.name + ": ";
    if (one.time) tool.note(begin + "frozen for " + seconds_text(*one.time));
    if (one.error && !one.given_up) complain(begin + text_of(one.error));
    if (!one.error && one.was_thawed_early()) {
      complain(begin + "thawed before its time: what was made meanwhile is not consistent");
    }
    tell_rescue(tool, one, begin);
  }
}

nlohmann::json document_of(const std::vector<GuestFreeze>& results, bool frozen) {
  nlohmann::json guests = nlohmann::json::array();
  for (const GuestFreeze& one : results) {
    nlohmann::json seconds;
    if (one.time) seconds = std::chrono::duration<double>(*one.time).count();
    nlohmann::json error;
    if (one.error) error = text_of(one.error);
    if (!one.error && one.was_thawed_early()) error = "thawed before its time";
    guests.push_back({{"guest", one.guest.name},
                      {"socket", one.guest.address},
                      {"frozen", json_or_null(one.frozen)},
                      {"thawed", json_or_null(one.thawed)},
                      {"seconds", seconds},
                      {"state", name_of(one.state)},
                      {"error", error}});
  }
  return {{"frozen", frozen}, {"guests", guests}};
}

int code_of(const Tool& tool, const std::vector<GuestFreeze>& results) {
  const int failed = tool.exits_as_program ? exit_own_failure : exit_failed;
  std::set<int> codes;
  for (const GuestFreeze& one : results) {
    if (one.given_up) continue;
    if (one.was_thawed_early()) codes.insert(failed);
    try {
      if (one.error) std::rethrow_exception(one.error);
    } catch (const std::exception&) {
      codes.insert(code_of_error(tool));
    }
  }
  if (codes.empty()) return exit_done;
  return codes.size() == 1 ? *codes.begin() : failed;
}

}  // namespace qga_tool
