// SPDX-License-Identifier: LGPL-3.0-or-later
//
// As much of HTTP as a scraper needs: each connection has one request and one response.
#include "page_server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <list>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/read_until.hpp>
#include <asio/socket_base.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

#include "../tool.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

constexpr std::size_t longest_request = 8 << 10;
constexpr std::size_t most_clients = 64;
constexpr auto time_for_request = 10s;
constexpr auto time_for_response = 30s;
constexpr std::string_view plain = "text/plain; charset=utf-8";
constexpr std::string_view figures = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

/// One client.
class PageServer::Client : public std::enable_shared_from_this<Client> {
 public:
  Client(tcp::socket socket, const PageServer::MakePage& make_page)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), make_page_(make_page) {}

  /// @param ended is called at the end, whatever comes
  void start(std::function<void()> ended) {
    ended_ = std::move(ended);
    limit(time_for_request);
    asio::async_read_until(socket_, asio::dynamic_buffer(request_, longest_request), "\r\n\r\n",
                           [self = shared_from_this()](std::error_code error, std::size_t) {
                             self->has_asked_ = true;
                             error || !self->ended_ ? self->end() : self->answer();
                           });
  }

  bool has_asked() const { return has_asked_; }

  void end() {
    std::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    if (const auto ended = std::exchange(ended_, nullptr)) ended();
  }

 private:
  void answer() {
    const std::string_view line = std::string_view(request_).substr(0, request_.find("\r\n"));
    const std::size_t space = line.find(' ');
    const std::size_t version = line.rfind(" HTTP/1.");
    if (version == std::string_view::npos || version <= space) {
      return respond("400 Bad Request", plain, text_of("this is no request of HTTP/1.1\n"));
    }
    const std::string_view method = line.substr(0, space);
    const std::string_view target = line.substr(space + 1, version - space - 1);
    is_head_ = method == "HEAD";
    if (method != "GET" && !is_head_) {
      return respond("405 Method Not Allowed", plain, text_of("the method must be GET\n"));
    }
    if (target.substr(0, target.find('?')) != "/metrics") {
      return respond("404 Not Found", plain, text_of("the figures are at /metrics\n"));
    }
    timer_.cancel();  // guests have time limits of their own
    make_page_([self = shared_from_this()](const PageServer::Text& page) {
      self->respond("200 OK", figures, page);
    });
  }

  static PageServer::Text text_of(const char* text) {
    return std::make_shared<const std::string>(text);
  }

  void respond(std::string_view status, std::string_view type, PageServer::Text body) {
    if (!ended_) return;
    limit(time_for_response);
    body_ = std::move(body);
    head_.append("HTTP/1.1 ").append(status).append("\r\nContent-Type: ").append(type);
    head_ += "\r\nContent-Length: " + std::to_string(body_->size());
    head_ += "\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n";
    const std::array<asio::const_buffer, 2> parts{
        asio::buffer(head_), is_head_ ? asio::const_buffer() : asio::buffer(*body_)};
    asio::async_write(socket_, parts,
                      [self = shared_from_this()](std::error_code error, std::size_t) {
                        error ? self->end() : self->await_end();
                      });
  }

  /// Where there is something unread, closing would reset the connection, and the client might lose
  /// the response.
  void await_end() {
    std::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    request_.resize(longest_request);
    socket_.async_read_some(asio::buffer(request_),
                            [self = shared_from_this()](std::error_code error, std::size_t) {
                              error ? self->end() : self->await_end();
                            });
  }

  void limit(std::chrono::seconds time) {
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this()](std::error_code error) {
      if (!error) self->end();
    });
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  const PageServer::MakePage& make_page_;
  std::function<void()> ended_;
  std::string request_;
  bool has_asked_ = false;
  bool is_head_ = false;
  std::string head_;
  PageServer::Text body_;
};

namespace {

/// Splits HOST:PORT. The host is empty for all addresses.
std::pair<std::string, std::string> parts_of(const std::string& where) {
  const std::size_t colon = where.rfind(':');
  std::string host = where.substr(0, std::min(colon, where.size()));
  const std::string port = colon == std::string::npos ? "" : where.substr(colon + 1);
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool is_number = !port.empty() && port.size() <= 5 &&
                         port.find_first_not_of("0123456789") == std::string::npos &&
                         std::stoi(port) <= 65535;
  if (!is_number || (!has_brackets && host.find_first_of("[]:") != std::string::npos)) {
    throw UsageError("'" + where + "' must be HOST:PORT, [IPv6]:PORT or :PORT, such as [::1]:9547");
  }
  if (has_brackets) host = host.substr(1, host.size() - 2);
  return {host, port};
}

}  // namespace

class PageServer::State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& context, MakePage make_page)
      : context_(context), make_page_(std::move(make_page)) {}

  void listen(const std::string& where) {
    const auto [host, port] = parts_of(where);
    std::error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(
        host, port, tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error) throw UsageError("cannot listen on " + where + ": " + error.message());
    for (const auto& entry : found) {
      try {
        open(entry.endpoint());
      } catch (const std::system_error& failed) {
        error = failed.code();
      }
    }
    // A system without IPv6 still knows the address ::1 of localhost.
    const bool is_used = error == asio::error::address_in_use;
    if (acceptors_.empty() || is_used) {
      throw UsageError("cannot listen on " + where + ": " + error.message() +
                       (is_used ? "; --listen must name another port" : ""));
    }
    for (tcp::acceptor& acceptor : acceptors_) accept(acceptor);
  }

  void end() {
    acceptors_.clear();
    while (!clients_.empty()) clients_.front()->end();
  }

  std::vector<std::string> urls() const {
    std::vector<std::string> urls;
    for (const tcp::acceptor& acceptor : acceptors_) {
      const tcp::endpoint at = acceptor.local_endpoint();
      const std::string host = at.address().to_string();
      urls.push_back("http://" + (at.address().is_v6() ? "[" + host + "]" : host) + ":" +
                     std::to_string(at.port()) + "/metrics");
    }
    return urls;
  }

 private:
  void open(const tcp::endpoint& at) {
    tcp::acceptor acceptor(context_, at.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    if (at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true));
    acceptor.bind(at);
    acceptor.listen(asio::socket_base::max_listen_connections);
    acceptors_.push_back(std::move(acceptor));
  }

  void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept(
        [self = shared_from_this(), &acceptor](std::error_code error, tcp::socket socket) {
          if (self->acceptors_.empty()) return;
          if (error) return self->accept_later(acceptor);
          self->add(std::move(socket));
          self->accept(acceptor);
        });
  }

  /// There may be no descriptor left.
  void accept_later(tcp::acceptor& acceptor) {
    const auto pause = std::make_shared<asio::steady_timer>(context_, 100ms);
    pause->async_wait([self = shared_from_this(), &acceptor, pause](std::error_code) {
      if (!self->acceptors_.empty()) self->accept(acceptor);
    });
  }

  void add(tcp::socket socket) {
    if (clients_.size() >= most_clients) {
      const auto idle = std::ranges::find_if_not(clients_, &Client::has_asked);
      (idle != clients_.end() ? *idle : clients_.front())->end();
    }
    const auto client = std::make_shared<Client>(std::move(socket), make_page_);
    clients_.push_back(client);
    client->start(
        [self = shared_from_this(), at = std::prev(clients_.end())] { self->clients_.erase(at); });
  }

  asio::io_context& context_;
  std::list<tcp::acceptor> acceptors_;  ///< their addresses stay
  MakePage make_page_;
  std::list<std::shared_ptr<Client>> clients_;
};

PageServer::PageServer(asio::io_context& context, const std::string& where, MakePage make_page)
    : state_(std::make_shared<State>(context, std::move(make_page))) {
  state_->listen(where);
}
PageServer::~PageServer() { state_->end(); }

std::vector<std::string> PageServer::urls() const { return state_->urls(); }

}  // namespace qga_tool
