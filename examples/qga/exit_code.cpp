// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes an exit code of an error. It is the only place that does.
#include "exit_code.hpp"

#include <exception>
#include <system_error>

#include <qga/client.hpp>

#include "print.hpp"
#include "program_end.hpp"
#include "tool.hpp"

namespace qga_tool {

namespace {

/// The code that the exception being handled has, where no program's code can be taken for it.
int plain_code_of_error() {
  try {
    throw;
  } catch (const UsageError&) {
    return exit_wrong_use;
  } catch (const NotStartedError& error) {
    return error.exit_code();
  } catch (const qga::ProgramTimeoutError&) {
    return exit_too_long;
  } catch (const qga::ConnectError& error) {
    const bool wrong_address =
        error.err() == std::errc::invalid_argument || error.err() == std::errc::filename_too_long;
    return wrong_address ? exit_wrong_use : exit_unreachable;
  } catch (const qga::UnreachableError&) {
    return exit_unreachable;
  } catch (const std::exception&) {
    return exit_failed;
  }
}

}  // namespace

int code_of_error(const Tool& tool) {
  const int code = plain_code_of_error();
  const bool ambiguous = code == exit_failed || code == exit_wrong_use || code == exit_unreachable;
  return tool.exits_as_program && ambiguous ? exit_own_failure : code;
}

std::string_view kind_of_error() {
  try {
    throw;
  } catch (const qga::ProgramTimeoutError&) {
    return "too-long";
  } catch (const qga::UnreachableError&) {
    return plain_code_of_error() == exit_wrong_use ? "wrong-address" : "unreachable";
  } catch (const qga::AgentError&) {
    return "refused";
  } catch (const NotStartedError&) {
    return "refused";
  } catch (const qga::BadReplyError&) {
    return "bad-reply";
  } catch (const qga::CancelledError&) {
    return "interrupted";
  } catch (const InterruptedError&) {
    return "interrupted";
  } catch (const std::exception&) {
    return "failed";
  }
}

int explain_error(const Tool& tool) {
  try {
    throw;
  } catch (const ClosedPipeError&) {
    return exit_closed_pipe;
  } catch (const std::exception& error) {
    if (stdout_is_closed()) return exit_closed_pipe;
    complain(error.what());
  }
  const bool wrong_use = plain_code_of_error() == exit_wrong_use;
  return tool.stop.signal() != 0 && !wrong_use ? 128 + tool.stop.signal() : code_of_error(tool);
}

}  // namespace qga_tool
