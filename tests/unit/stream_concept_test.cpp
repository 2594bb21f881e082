// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Which streams a client accepts: those that carry bytes over a descriptor of their own. What would
// be bypassed by using the descriptor, such as TLS, is refused, and so is what is no stream.
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

/// Has all that a stream has, and says that it stands in front of another one, as
/// `asio::ssl::stream` does.
template <class Next>
class Wrapper : public Next {
 public:
  using next_layer_type = Next;
  using Next::Next;
  Next& next_layer() { return *this; }
  const Next& next_layer() const { return *this; }
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
