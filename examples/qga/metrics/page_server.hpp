// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Serves one page over HTTP, on the context of the tool: the Exposer of prometheus-cpp has threads
// of its own, all of which two slow clients can keep busy, and it knows no IPv6.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

namespace qga_tool {

/// Answers `GET /metrics`, one request for each connection. A client has 10 seconds for its request
/// and 8 KiB; of too many clients those that have not asked yet are closed.
class PageServer {
 public:
  using Text = std::shared_ptr<const std::string>;
  /// Makes the page, and passes it on, now or later.
  using MakePage = std::function<void(std::function<void(const Text&)>)>;

  /// Listens.
  /// @param where HOST:PORT, [IPv6]:PORT, or :PORT for all addresses of this machine
  /// @throws UsageError that is no address, or it cannot be listened on
  PageServer(asio::io_context& context, const std::string& where, MakePage make_page);
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  /// The addresses that it listens on, as in `http://127.0.0.1:9547/metrics`.
  std::vector<std::string> urls() const;

 private:
  class Client;
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace qga_tool
