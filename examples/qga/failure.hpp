// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the failure of a request tells, where it is handed to a handler and not thrown.
#pragma once

#include <exception>

#include <qga/error.hpp>

namespace qga_tool {

/// Whether a failure is an error of the library with this `err_*` code.
inline bool has_code(const std::exception_ptr& failure, int code) {
  const qga::GuestAgentError* const known = qga::error_of(failure);
  return known != nullptr && known->code() == code;
}

/// Whether the guest may answer other requests: it has refused this one, or its reply makes no
/// sense.
inline bool concerns_one_request(const std::exception_ptr& failure) {
  return has_code(failure, qga::err_from_agent) || has_code(failure, qga::err_bad_reply);
}

}  // namespace qga_tool
