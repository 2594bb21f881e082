// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The commands that are measured, and the loops that call them: one call after another, blocking
// and asynchronous.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <asio/io_context.hpp>

#include <qga/client.hpp>

namespace qga_bench {

// Each on anything that has the client's face.
struct Ping {
  static constexpr std::string_view name = "guest-ping";
  static auto call(auto&& face) { return face.ping(); }
};
struct Info {
  static constexpr std::string_view name = "guest-info";
  static auto call(auto&& face) { return face.info(); }
};
struct GetFsinfo {
  static constexpr std::string_view name = "guest-get-fsinfo";
  static auto call(auto&& face) { return face.get_fsinfo(); }
};
struct GetMemoryBlocks {
  static constexpr std::string_view name = "guest-get-memory-blocks";
  static auto call(auto&& face) { return face.get_memory_blocks(); }
};

/// The client's own bytes: an id costs the agent time too.
template <class Command>
std::string request_line() {
  return "{\"execute\":\"" + std::string(Command::name) + "\",\"id\":1738137421}\n";
}

/// False where the agent refuses the command: not every machine has what it asks for.
template <class Command>
bool answers(const std::string& socket) {
  qga::Client ga(socket);
  try {
    Command::call(ga);
    return true;
  } catch (const qga::AgentError&) {
    return false;
  }
}

template <class Command>
class BlockingCalls {
 public:
  explicit BlockingCalls(const std::string& socket) : ga_(socket) {}

  /// @param lap is told of the end of each call
  template <class Lap>
  void run(int count, Lap lap) {
    for (; count > 0; --count) {
      Command::call(ga_);
      lap();
    }
  }

 private:
  qga::Client<> ga_;
};

template <class Command>
class AsyncCalls {
 public:
  explicit AsyncCalls(const std::string& socket) { ga_.connect(socket); }

  template <class Lap>
  void run(int count, Lap lap) {
    Chain<Lap> chain{ga_, count, std::move(lap)};
    chain.next();
    context_.restart();
    context_.run();
    if (chain.left > 0) throw std::logic_error("nothing is under way");
  }

 private:
  template <class Lap>
  struct Chain {
    qga::Client<>& ga;
    int left;
    Lap lap;

    struct Handler {
      Chain* chain;
      void operator()(std::exception_ptr error, auto&&...) const {
        if (error) std::rethrow_exception(error);
        chain->lap();
        if (--chain->left > 0) chain->next();
      }
    };
    void next() { Command::call(ga.async(Handler{this})); }
  };

  asio::io_context context_;
  qga::Client<> ga_{context_};
};

}  // namespace qga_bench
