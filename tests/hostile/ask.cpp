// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Makes the typed call that an input names and says what it came to. Apart, because it takes the
// compiler long.
#include <string>
#include <string_view>
#include <type_traits>

#include "hostile.hpp"
#include "protocol_types.hpp"
#include "qga/detail/protocol/json.hpp"

namespace hostile {
namespace {

using qga::test::Types;

/// The commands of the inputs that are sent as typed ones. Others are sent by hand.
using Asked =
    Types<qga::GuestPingRequest, qga::GuestInfoRequest, qga::GuestGetOsinfoRequest,
          qga::GuestGetTimeRequest, qga::GuestGetUsersRequest, qga::GuestSetVcpusRequest,
          qga::GuestFileOpenRequest, qga::GuestFileReadRequest, qga::GuestFileWriteRequest,
          qga::GuestFileSeekRequest, qga::GuestExecRequest, qga::GuestExecStatusRequest,
          qga::GuestFsfreezeStatusRequest, qga::GuestFsfreezeFreezeRequest,
          qga::GuestGetFsinfoRequest, qga::GuestGetDisksRequest,
          qga::GuestNetworkGetInterfacesRequest, qga::GuestSshGetAuthorizedKeysRequest>;

/// From its form on the wire.
template <class T>
T made(const nlohmann::json& json) {
  return json.get<T>();
}

template <class Visit>
void with_request(const Input& input, Visit visit) {
  bool found = false;
  Asked::each([&]<class Request>(std::type_identity<Request>) {
    if (Request::command != input.command) return;
    found = true;
    const auto& arguments = input.arguments;
    visit(made<Request>(arguments.is_null() ? nlohmann::json::object() : arguments));
  });
  if (!found) visit(qga::detail::RawRequest(input.command, input.arguments));
}

template <class Way, class Request>
std::string outcome(Way& ga, const Input& input, const Request& request) {
  using Reply = typename Request::Reply;
  if constexpr (std::is_void_v<Reply>) {
    ga.execute(request);
  } else {
    const Reply reply = ga.execute(request);
    if (!input.value.is_null() && reply != made<Reply>(input.value)) return "another value";
  }
  return "value";
}

template <class Way>
std::string ask_way(Way& ga, const Input& input) {
  std::string came;
  with_request(input, [&](const auto& request) {
    try {
      if (input.expected == "timeout") {
        auto hasty = ga.with({.timeout = brief});
        came = outcome(hasty, input, request);
      } else {
        came = outcome(ga, input, request);
      }
    } catch (const qga::GuestAgentError& error) {
      came = dynamic_cast<const qga::BadReplyError*>(&error)  ? "bad reply"
             : dynamic_cast<const qga::AgentError*>(&error)   ? "agent error"
             : dynamic_cast<const qga::TimeoutError*>(&error) ? "timeout"
                                                              : error.what();
      // Whatever a guest says, its words can be shown.
      const std::string_view what = error.what();
      CHECK(what.starts_with(input.command));
      CHECK(what.size() < 3000);
      for (const char c : what) REQUIRE((c < 0 || (c >= ' ' && c != '\x7F')));
    }
  });
  return came;
}

}  // namespace

std::string ask(Blocking& ga, const Input& input) { return ask_way(ga, input); }
std::string ask(Async& ga, const Input& input) { return ask_way(ga, input); }

std::size_t reply_limit(const Input& input) {
  std::size_t limit = 0;
  with_request(
      input, [&](const auto& request) { limit = qga::detail::handling_of(request).limits.bytes; });
  return limit;
}

}  // namespace hostile
