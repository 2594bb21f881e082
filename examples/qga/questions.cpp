// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Tells a guest that refuses questions from one that cannot be asked.
#include "questions.hpp"

#include "failure.hpp"

namespace qga_tool {

std::exception_ptr failure_of(std::span<const std::exception_ptr> errors) {
  bool answered = false;
  for (const std::exception_ptr& error : errors) {
    if (error && !concerns_one_request(error)) return error;
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
