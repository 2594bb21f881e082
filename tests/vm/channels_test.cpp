// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The same agent over other channels than a UNIX socket: QEMU changes what its port is connected
// to.
#include <cstdint>
#include <string>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/serial_port.hpp>

#include "live.hpp"

using namespace vm_test;

namespace {

/// The agent's port at another backend of QEMU; back at its UNIX socket in the end.
class Rewired {
 public:
  Rewired(Vm& vm, nlohmann::json backend) : vm_(vm), qmp_(vm.qmp()) {
    result = change(std::move(backend));
  }
  Rewired(const Rewired&) = delete;
  Rewired& operator=(const Rewired&) = delete;
  ~Rewired() { change(listening({{"type", "unix"}, {"data", {{"path", vm_.agent()}}}})); }

  static nlohmann::json listening(const nlohmann::json& address) {
    return {{"type", "socket"}, {"data", {{"addr", address}, {"server", true}, {"wait", false}}}};
  }

  /// Such as disconnected:tcp:127.0.0.1:40000,server=on
  std::string description() {
    for (const auto& chardev : qmp_.execute("query-chardev")) {
      if (chardev.at("label") == "agent") return chardev.at("filename");
    }
    return {};
  }

  nlohmann::json result;

 private:
  nlohmann::json change(nlohmann::json backend) {
    return qmp_.execute("chardev-change", {{"id", "agent"}, {"backend", std::move(backend)}});
  }

  Vm& vm_;
  Qmp qmp_;
};

/// Its handles show that it is the same agent.
template <class Client>
void check_serves(Client& ga, std::int64_t handle, asio::io_context& context) {
  CHECK(contains(ga.file_read(handle).buf_b64, "qga test guest"));
  const std::int64_t zeros = ga.file_open("/dev/zero");
  CHECK(ga.file_read(zeros, 64 << 10).buf_b64 == std::string(64 << 10, '\0'));

  Answer<std::string> name;
  Answer<qga::GuestFileRead> read;
  ga.async(asio::bind_executor(context, to(name))).get_host_name();
  ga.async(asio::bind_executor(context, to(read))).file_read(zeros, 64 << 10);
  run_dry(context);
  CHECK(name.get() == "qga-guest");
  CHECK(read.get().buf_b64 == std::string(64 << 10, '\0'));
  ga.file_close(zeros);
  ga.file_close(handle);
}

std::int64_t open_over_unix(Vm& vm) {
  return qga::Client<>(vm.agent(), patient()).file_open("/etc/os-release");
}

}  // namespace

TEST_CASE("the agent over its UNIX socket, by address", "[channels]") {
  Vm& vm = ready_vm();
  asio::io_context context;
  for (const std::string& address : {vm.agent(), "unix:" + vm.agent()}) {
    const std::int64_t handle = open_over_unix(vm);
    qga::AnyClient ga = qga::connect(address, patient());
    check_serves(ga, handle, context);
  }
}

TEST_CASE("the same agent over TCP", "[channels]") {
  Vm& vm = ready_vm();
  const std::int64_t handle = open_over_unix(vm);
  Rewired tcp(
      vm, Rewired::listening({{"type", "inet"}, {"data", {{"host", "127.0.0.1"}, {"port", "0"}}}}));
  const std::string description = tcp.description();
  CAPTURE(description);
  const std::size_t begin = description.find("tcp:");
  REQUIRE(begin != std::string::npos);
  const std::string address = description.substr(begin, description.find(',') - begin);
  asio::io_context context;
  qga::AnyClient ga = qga::connect(address, patient());
  check_serves(ga, handle, context);
}

TEST_CASE("the same agent over a pty", "[channels]") {
  Vm& vm = ready_vm();
  const std::int64_t handle = open_over_unix(vm);
  const Rewired pty(vm, {{"type", "pty"}, {"data", nlohmann::json::object()}});
  asio::io_context context;
  qga::Client ga(asio::serial_port(context, pty.result.at("pty").get<std::string>()), patient());
  check_serves(ga, handle, context);
}
