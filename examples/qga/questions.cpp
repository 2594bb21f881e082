// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells a guest that refuses questions from one that cannot be asked.
#include "questions.hpp"

namespace qga_tool {

namespace {

/// Whether other questions may still be answered: the guest has refused this one, or its reply
/// makes no sense.
bool concerns_one_question(const std::exception_ptr& error) {
  const qga::GuestAgentError* const known = qga::error_of(error);
  return known != nullptr &&
         (known->code() == qga::err_from_agent || known->code() == qga::err_bad_reply);
}

}  // namespace

std::exception_ptr failure_of(std::span<const std::exception_ptr> errors) {
  bool answered = false;
  for (const std::exception_ptr& error : errors) {
    if (error && !concerns_one_question(error)) return error;
    answered = answered || !error;
  }
  return answered ? nullptr : errors.front();
}

std::vector<std::string> missing_of(std::span<const std::exception_ptr> errors) {
  std::vector<std::string> missing;
  for (const std::exception_ptr& error : errors) {
    if (error) missing.emplace_back(qga::error_of(error)->what());
  }
  return missing;
}

}  // namespace qga_tool
