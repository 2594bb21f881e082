// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which streams a client accepts: those that carry bytes over a descriptor of their own. What would
// be bypassed by using the descriptor, such as TLS, is refused, and so is what is no stream.
#include <utility>

#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/icmp.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/local/datagram_protocol.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/descriptor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/serial_port.hpp>
#include <asio/strand.hpp>

#include "catch.hpp"
#include "qga/client.hpp"

namespace {

/// Such as `asio::ssl::stream`: it changes the bytes on their way.
template <class Next>
class Wrapper {
 public:
  using next_layer_type = Next;
  using executor_type = typename Next::executor_type;
  using native_handle_type = typename Next::native_handle_type;

  explicit Wrapper(Next next) : next_(std::move(next)) {}
  Next& next_layer() { return next_; }
  const Next& next_layer() const { return next_; }
  executor_type get_executor() { return next_.get_executor(); }
  native_handle_type native_handle() { return next_.native_handle(); }
  bool is_open() const { return next_.is_open(); }
  void close() { next_.close(); }
  void cancel() { next_.cancel(); }
  template <class... Args>
  auto assign(Args&&... args) {
    return next_.assign(std::forward<Args>(args)...);
  }
  template <class Token>
  auto async_wait(typename Next::wait_type type, Token&& token) {
    return next_.async_wait(type, std::forward<Token>(token));
  }
  static constexpr auto wait_read = Next::wait_read;
  static constexpr auto wait_write = Next::wait_write;
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    return next_.read_some(buffers);
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    return next_.write_some(buffers);
  }

 private:
  Next next_;
};

/// A socket by another name, as users derive them.
struct DerivedSocket : asio::ip::tcp::socket {
  using asio::ip::tcp::socket::socket;
};

using Strand = asio::strand<asio::io_context::executor_type>;

static_assert(qga::Stream<asio::local::stream_protocol::socket>);
static_assert(qga::Stream<asio::ip::tcp::socket>);
static_assert(qga::Stream<asio::generic::stream_protocol::socket>);
static_assert(qga::Stream<asio::serial_port>);
static_assert(qga::Stream<asio::posix::stream_descriptor>);
static_assert(qga::Stream<asio::basic_stream_socket<asio::local::stream_protocol,
                                                    asio::io_context::executor_type>>);
static_assert(qga::Stream<asio::basic_stream_socket<asio::ip::tcp, Strand>>);
static_assert(qga::Stream<asio::basic_serial_port<asio::io_context::executor_type>>);
static_assert(qga::Stream<DerivedSocket>);

static_assert(!qga::Stream<asio::ip::tcp::acceptor>);
static_assert(!qga::Stream<asio::local::stream_protocol::acceptor>);
static_assert(!qga::Stream<asio::ip::udp::socket>);
static_assert(!qga::Stream<asio::ip::icmp::socket>);
static_assert(!qga::Stream<asio::local::datagram_protocol::socket>);
static_assert(!qga::Stream<asio::posix::descriptor>);
static_assert(!qga::Stream<Wrapper<asio::ip::tcp::socket>>);
static_assert(!qga::Stream<Wrapper<asio::local::stream_protocol::socket>>);
static_assert(!qga::Stream<Wrapper<asio::serial_port>>);
static_assert(!qga::Stream<int>);
static_assert(!qga::Stream<asio::io_context>);

}  // namespace

TEST_CASE("streams: what a client accepts is decided when it is compiled") {
  SUCCEED("the static_asserts above");
}
