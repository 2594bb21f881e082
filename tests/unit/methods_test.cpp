// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Calls each of the 46 methods through a carrier that only writes down what it is asked to send:
// the method's name must be the command's, and its arguments must reach the request.
#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "protocol_types.hpp"
#include "qga/detail/protocol/encode.hpp"

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

struct Recorder : qga::Commands<Recorder> {
  std::string wire;  ///< of the requests since the last `take`

  template <qga::Request R, class Project = std::identity>
  auto execute(const R& request, Project project = {}) {
    qga::detail::encode_into(wire, request);
    wire += '}';
    if constexpr (!std::is_void_v<typename R::Reply>) {
      return std::invoke(std::move(project), typename R::Reply());
    }
  }
};

struct Method {
  std::string name;
  std::function<void(Recorder&)> call;
  json arguments;  ///< what must be on the wire; null: no arguments
};

// Only a macro has the name both as text and as code.
#define QGA_METHOD(name, call, ...)                              \
  Method {                                                       \
#name, [](Recorder & ga) { ga.name call; }, json __VA_ARGS__ \
  }

std::vector<Method> methods() {
  const json none;
  const std::vector<std::string> keys{"k1", "k2"};
  return {
      QGA_METHOD(sync, (-5), {{"id", -5}}),
      QGA_METHOD(sync_delimited, (6), {{"id", 6}}),
      QGA_METHOD(ping, (), (none)),
      QGA_METHOD(info, (), (none)),
      QGA_METHOD(get_time, (), (none)),
      QGA_METHOD(set_time, (qga::GuestTime(7ns)), {{"time", 7}}),
      QGA_METHOD(shutdown, (qga::GuestShutdownMode::halt), {{"mode", "halt"}}),
      QGA_METHOD(file_open, ("/f", "w"), {{"path", "/f"}, {"mode", "w"}}),
      QGA_METHOD(file_close, (8), {{"handle", 8}}),
      QGA_METHOD(file_read, (8, 9), {{"handle", 8}, {"count", 9}}),
      QGA_METHOD(file_write, (8, "ab", {.count = 1}),
                 {{"handle", 8}, {"buf-b64", "YWI="}, {"count", 1}}),
      QGA_METHOD(file_seek, (8, -2, qga::QGASeek::end),
                 {{"handle", 8}, {"offset", -2}, {"whence", "end"}}),
      QGA_METHOD(file_flush, (8), {{"handle", 8}}),
      QGA_METHOD(fsfreeze_status, (), (none)),
      QGA_METHOD(fsfreeze_freeze, (), (none)),
      QGA_METHOD(fsfreeze_freeze_list, ({"/a", "/b"}), {{"mountpoints", json({"/a", "/b"})}}),
      QGA_METHOD(fsfreeze_thaw, (), (none)),
      QGA_METHOD(fstrim, (4096), {{"minimum", 4096}}),
      QGA_METHOD(suspend_disk, (), (none)),
      QGA_METHOD(suspend_ram, (), (none)),
      QGA_METHOD(suspend_hybrid, (), (none)),
      QGA_METHOD(network_get_interfaces, (), (none)),
      QGA_METHOD(network_get_route, (), (none)),
      QGA_METHOD(get_vcpus, (), (none)),
      QGA_METHOD(set_vcpus, ({{.logical_id = 1, .online = true, .can_offline = {}}}),
                 {{"vcpus", json::array({{{"logical-id", 1}, {"online", true}}})}}),
      QGA_METHOD(get_disks, (), (none)),
      QGA_METHOD(get_fsinfo, (), (none)),
      QGA_METHOD(set_user_password, ("u", "p", true),
                 {{"username", "u"}, {"password", "cA=="}, {"crypted", true}}),
      QGA_METHOD(get_memory_blocks, (), (none)),
      QGA_METHOD(set_memory_blocks, ({{.phys_index = 3, .online = false, .can_offline = {}}}),
                 {{"mem-blks", json::array({{{"phys-index", 3}, {"online", false}}})}}),
      QGA_METHOD(get_memory_block_info, (), (none)),
      QGA_METHOD(exec, ("ls", {.args = {"-l"}, .capture_output = true}),
                 {{"path", "ls"}, {"arg", json::array({"-l"})}, {"capture-output", true}}),
      QGA_METHOD(exec_status, (10), {{"pid", 10}}),
      QGA_METHOD(get_host_name, (), (none)),
      QGA_METHOD(get_users, (), (none)),
      QGA_METHOD(get_timezone, (), (none)),
      QGA_METHOD(get_osinfo, (), (none)),
      QGA_METHOD(get_devices, (), (none)),
      QGA_METHOD(get_driver_packages, (), (none)),
      QGA_METHOD(get_driver_services, (), (none)),
      QGA_METHOD(ssh_get_authorized_keys, ("u"), {{"username", "u"}}),
      QGA_METHOD(ssh_add_authorized_keys, ("u", {"k1"}, true),
                 {{"username", "u"}, {"keys", json::array({"k1"})}, {"reset", true}}),
      QGA_METHOD(ssh_remove_authorized_keys, ("u", {"k1"}),
                 {{"username", "u"}, {"keys", json::array({"k1"})}}),
      QGA_METHOD(get_diskstats, (), (none)),
      QGA_METHOD(get_cpustats, (), (none)),
      QGA_METHOD(get_load, (), (none)),
  };
}

#undef QGA_METHOD

template <class Expected, class Call>
constexpr bool gives(Call) {
  return std::is_same_v<std::invoke_result_t<Call, Recorder&>, Expected>;
}

}  // namespace

TEST_CASE("each method sends its command with its arguments, once") {
  std::set<std::string> sent;
  for (const auto& method : methods()) {
    INFO(method.name);
    Recorder recorder;
    method.call(recorder);
    std::string command = "guest-" + method.name;
    for (char& c : command) c = c == '_' ? '-' : c;
    json expected{{"execute", command}};
    if (!method.arguments.is_null()) expected["arguments"] = method.arguments;
    CHECK(json::parse(recorder.wire) == expected);  // of two requests it would not parse
    CHECK(sent.insert(command).second);
  }
  std::set<std::string> commands;
  for (const auto& command : qga::test::protocol_facts().at("commands")) {
    commands.insert(command.at("name").get<std::string>());
  }
  CHECK(sent == commands);
  CHECK(sent.size() == 46);
}

TEST_CASE("arguments with defaults are left to the agent") {
  const auto wire = [](auto call) {
    Recorder recorder;
    call(recorder);
    return recorder.wire;
  };
  CHECK(wire([](auto& ga) { ga.set_time(); }) == R"({"execute":"guest-set-time"})");
  CHECK(wire([](auto& ga) { ga.fstrim(); }) == R"({"execute":"guest-fstrim"})");
  CHECK(wire([](auto& ga) { ga.fsfreeze_freeze_list(); }) ==
        R"({"execute":"guest-fsfreeze-freeze-list"})");
  CHECK(json::parse(wire([](auto& ga) { ga.shutdown(); })) ==
        json::parse(R"({"execute":"guest-shutdown","arguments":{"mode":"powerdown"}})"));
  CHECK(json::parse(wire([](auto& ga) { ga.file_open("/f"); })) ==
        json::parse(R"({"execute":"guest-file-open","arguments":{"path":"/f","mode":"r"}})"));
  CHECK(wire([](auto& ga) { ga.file_read(1); }) ==
        R"({"execute":"guest-file-read","arguments":{"handle":1}})");
  CHECK(wire([](auto& ga) { ga.exec("ls"); }) ==
        R"({"execute":"guest-exec","arguments":{"path":"ls"}})");
  CHECK(json::parse(wire([](auto& ga) { ga.set_user_password("u", ""); })) ==
        json::parse(R"({"execute":"guest-set-user-password",
                        "arguments":{"username":"u","password":"","crypted":false}})"));
}

TEST_CASE("methods give what is worth having of the reply") {
  using std::string;
  using std::vector;
  CHECK(gives<qga::GuestTime>([](Recorder& ga) { return ga.get_time(); }));
  CHECK(gives<std::int64_t>([](Recorder& ga) { return ga.exec("ls"); }));
  CHECK(gives<string>([](Recorder& ga) { return ga.get_host_name(); }));
  CHECK(gives<vector<string>>([](Recorder& ga) { return ga.ssh_get_authorized_keys("u"); }));
  CHECK(gives<qga::GuestFileRead>([](Recorder& ga) { return ga.file_read(1); }));
  CHECK(gives<vector<qga::GuestUser>>([](Recorder& ga) { return ga.get_users(); }));
  CHECK(gives<qga::GuestFsfreezeStatus>([](Recorder& ga) { return ga.fsfreeze_status(); }));
  CHECK(gives<void>([](Recorder& ga) { return ga.ping(); }));
}
