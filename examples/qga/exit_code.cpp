// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes an exit code of an error. It is the only place that does.
#include "exit_code.hpp"

#include <exception>
#include <system_error>

#include <CLI/CLI.hpp>
#include <qga/client.hpp>

#include "tool.hpp"

namespace qga_tool {

int code_of_error() {
  try {
    throw;
  } catch (const CLI::ParseError&) {
    return exit_wrong_use;
  } catch (const UsageError&) {
    return exit_wrong_use;
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

std::string_view kind_of_error() {
  switch (code_of_error()) {
    case exit_wrong_use:
      return "wrong-address";
    case exit_too_long:
      return "too-long";
    case exit_unreachable:
      return "unreachable";
    default:
      break;
  }
  try {
    throw;
  } catch (const qga::AgentError&) {
    return "refused";
  } catch (const qga::BadReplyError&) {
    return "bad-reply";
  } catch (const qga::CancelledError&) {
    return "interrupted";
  } catch (const std::exception&) {
    return "failed";
  }
}

}  // namespace qga_tool
