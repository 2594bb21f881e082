// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What became of a call, read through every type by which a caller may catch its error. Errors that
// are several things at once lose what they know when they are copied.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "qga/client.hpp"

namespace faults {

struct Fate {
  std::exception_ptr error;  ///< null: the call succeeded
  std::string what;
  std::optional<int> code;  ///< of a `GuestAgentError`, as is the outcome
  std::optional<qga::Outcome> outcome;
  std::optional<std::int64_t> pid;  ///< of a `ProgramError`
  std::optional<bool> ended;
  std::optional<bool> thawed;          ///< of a `FreezeError`
  std::optional<std::uint64_t> bytes;  ///< of a `TransferError`

  /// Whether it is caught as an `Error`.
  template <class Error>
  bool is() const {
    return look<Error>([](const Error&) {});
  }
  bool says(std::string_view part) const { return what.find(part) != std::string::npos; }

  template <class Error, class Look>
  bool look(Look at) const {
    if (!error) return false;
    try {
      std::rethrow_exception(error);
    } catch (const Error& caught) {
      at(caught);
      return true;
    } catch (...) {
      return false;
    }
  }
};

inline std::ostream& operator<<(std::ostream& out, const Fate& fate) {
  if (!fate.error) return out << "success";
  out << fate.what;
  if (fate.outcome) out << "; outcome " << static_cast<int>(*fate.outcome);
  if (fate.pid) out << "; process " << *fate.pid << (*fate.ended ? ", ended" : "");
  if (fate.thawed) out << (*fate.thawed ? "; thawed" : "; not thawed");
  if (fate.bytes) out << "; " << *fate.bytes << " bytes";
  return out;
}

inline Fate fate_of(std::exception_ptr error) {
  Fate fate;
  fate.error = std::move(error);
  fate.look<std::exception>([&](const auto& caught) { fate.what = caught.what(); });
  fate.look<qga::GuestAgentError>([&](const auto& caught) {
    fate.code = caught.code();
    fate.outcome = caught.outcome();
  });
  fate.look<qga::ProgramError>([&](const auto& caught) {
    fate.pid = caught.pid();
    fate.ended = caught.ended();
  });
  fate.look<qga::FreezeError>([&](const auto& caught) { fate.thawed = caught.thawed(); });
  fate.look<qga::TransferError>([&](const auto& caught) { fate.bytes = caught.bytes(); });
  return fate;
}

template <class Call>
requires std::is_invocable_v<Call> Fate fate_of(Call&& call) {
  try {
    static_cast<void>(std::forward<Call>(call)());
  } catch (...) {
    return fate_of(std::current_exception());
  }
  return {};
}

}  // namespace faults
