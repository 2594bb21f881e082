// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Asks a guest several questions together, and shows the answers: as JSON, as the agent has sent
// them, or as text for people. A guest may refuse some of them.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <qga/client.hpp>

#include "answer.hpp"
#include "each_guest.hpp"
#include "tool.hpp"

namespace qga_tool {

/// What came back of several requests: the reply to each, or its error.
template <class... Requests>
struct Replies {
  std::tuple<std::optional<typename Requests::Reply>...> values = {};
  std::array<std::exception_ptr, sizeof...(Requests)> errors = {};
};

/// Sends requests, which are in flight together.
/// @param then gets the replies
template <class Then, class... Requests>
void send_together(GuestTask& task, Then then, const Requests&... requests) {
  struct State {
    Then then;
    Replies<Requests...> replies = {};
    std::size_t left = sizeof...(Requests);
  };
  const auto state = std::make_shared<State>(State{std::move(then)});
  [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    const auto handler = [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
      return [state](std::exception_ptr error, auto reply) {
        if (error) {
          state->replies.errors[I] = std::move(error);
        } else {
          std::get<I>(state->replies.values).emplace(std::move(reply));
        }
        if (--state->left == 0) state->then(std::move(state->replies));
      };
    };
    (task.execute(requests, handler(std::integral_constant<std::size_t, Index>())), ...);
  }
  (std::index_sequence_for<Requests...>());
}

/// Why a guest has not answered: it cannot be reached, or has answered no question. Null where it
/// has answered one.
std::exception_ptr failure_of(std::span<const std::exception_ptr> errors);
/// What there is to say of the questions that were not answered.
std::vector<std::string> missing_of(std::span<const std::exception_ptr> errors);

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

/// A request whose reply is kept as the agent has sent it, but that null for a list, which some
/// agents send, is an empty list.
template <class Request>
struct AsJson : Request {
  using Reply = nlohmann::json;

  explicit AsJson(Request request = {}) : Request(std::move(request)) {}
  static nlohmann::json document(nlohmann::json reply) {
    const bool is_empty = is_list<typename Request::Reply> && reply.is_null();
    return is_empty ? nlohmann::json::array() : reply;
  }
};

/// Adds the replies to a document, each as a member that is named as its command.
template <class... Requests>
void add_members(nlohmann::json& document, Replies<AsJson<Requests>...> replies) {
  const auto add = [&]<class Request>(std::optional<nlohmann::json>& reply, AsJson<Request>*) {
    if (!reply) return;
    document[std::string(Request::command)] = AsJson<Request>::document(std::move(*reply));
  };
  std::apply([&](auto&... reply) { (add(reply, static_cast<AsJson<Requests>*>(nullptr)), ...); },
             replies.values);
}

/// The document of one question is the reply; that of several has a member for each reply.
template <class... Requests>
nlohmann::json document_of(Replies<AsJson<Requests>...> replies) {
  if constexpr (sizeof...(Requests) == 1) {
    return (AsJson<Requests>::document(std::move(std::get<0>(replies.values).value())), ...);
  } else {
    nlohmann::json document = nlohmann::json::object();
    document["missing"] = missing_of(replies.errors);
    add_members(document, std::move(replies));
    return document;
  }
}

/// The exit code that the text of the same reply has.
template <class Show, class Request>
int status_of(const Show& show, const nlohmann::json& reply, const Request&) {
  try {
    return show(reply.get<typename Request::Reply>()).status;
  } catch (const nlohmann::json::exception&) {  // newer or stranger than what the text can show
    return exit_done;
  }
}

/// Asks each guest the same questions, and shows the answers. A guest that answers none has failed.
/// @param show makes an Answer of the replies: of the only one, or of several, each optional
template <class Show, class... Requests>
int ask_each(Tool& tool, Show show, Requests... requests) {
  return each_guest(tool, [=](GuestTask& task) {
    if (task.tool().json) {
      const auto then = [=, &task](Replies<AsJson<Requests>...> replies) {
        if (auto failure = failure_of(replies.errors)) return task.fail(std::move(failure));
        Answer answer{.json = document_of(std::move(replies))};
        if constexpr (sizeof...(Requests) == 1)
          answer.status = status_of(show, answer.json, requests...);
        task.answer(std::move(answer));
      };
      return send_together(task, then, AsJson<Requests>(requests)...);
    }
    const auto then = [&task, show](Replies<Requests...> replies) {
      if (auto failure = failure_of(replies.errors)) return task.fail(std::move(failure));
      Answer answer;
      if constexpr (sizeof...(Requests) == 1) {
        answer = show(std::move(std::get<0>(replies.values).value()));
      } else {
        answer = std::apply(show, std::move(replies.values));
        answer.missing = missing_of(replies.errors);
      }
      task.answer(std::move(answer));
    };
    send_together(task, then, requests...);
  });
}

}  // namespace qga_tool
