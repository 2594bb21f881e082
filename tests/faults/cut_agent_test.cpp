// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The faults of the cut test between a client and a real agent. What it executed shows in a file:
// most steps append a text of their own to it.
#include <cerrno>
#include <string>
#include <string_view>

#include <fcntl.h>

#include "agent.hpp"
#include "cut_sockets.hpp"
#include "qga/detail/protocol/base64.hpp"

using namespace cuts;

namespace {

/// One connection to the agent for all sessions: what one of them leaves the next one finds.
class RealEnd final : public AgentEnd {
 public:
  explicit RealEnd(const std::string& path) : socket_(qga_test::connected_to(path)) {}

  std::string hear(std::string_view bytes) override {
    qga_test::write_all(socket_, bytes);
    return {};
  }
  int fd() const override { return socket_.get(); }
  std::string says() override {
    std::string bytes(65536, '\0');
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

 private:
  qga_test::Descriptor socket_;
};

/// A client of the agent behind a line without a fault.
template <class Use>
auto undisturbed(RealEnd& end, Use use) {
  auto [mine, other] = qga_test::unix_pair();
  qga_test::Proxy proxy(std::move(other), end, FaultyLine());
  auto client = qga::Client<asio::generic::stream_protocol::socket>::from_handle(
      mine.release(), {.timeout = qga_test::long_enough});
  return use(client);
}

/// What step `i` of a session appends; of another length than all others.
std::string text_of(int session, std::size_t i) {
  return "<" + std::to_string(session) + "." + std::to_string(i) + std::string(20 + i, '-') + ">";
}

Script session_of(int session, std::int64_t handle, const nlohmann::json& info) {
  Script script;
  const auto write = [&] {
    const std::string text = text_of(session, script.steps.size());
    std::string encoded;
    qga::detail::base64_encode(text, encoded);
    script.add("guest-file-write", {{"handle", handle}, {"buf-b64", encoded}},
               "\"return\": {\"count\": " + std::to_string(text.size()) + ", \"eof\": false}");
  };
  const auto ask = [&] {
    const std::string id = std::to_string(5000 + script.steps.size());
    script.add("guest-sync", {{"id", std::stoi(id)}}, "\"return\": " + id);
  };
  for (int i = 0; i < 4; ++i) {
    write(), ask(), write(), write();
    script.add("guest-file-read", {{"handle", 900000 + i}},
               R"("error": {"class": "GenericError", "desc": "no such handle"})");
    if (i == 1) script.add("guest-info", nullptr, "\"return\": " + info.dump());
    ask();
    script.batches.insert(script.batches.end(), {1, 1, 4});
    if (i == 1) script.batches.push_back(1);
  }
  return script;
}

/// Sets what is wrong with what the agent's file says was executed.
void judge_file(Judged& judged, const Script& script, int session, const std::string& file) {
  for (std::size_t i = 0; i < judged.played.results.size(); ++i) {
    if (script.steps[i].command != "guest-file-write") continue;
    const std::string text = text_of(session, i);
    const std::size_t at = file.find(text);
    const bool executed = at != std::string::npos;
    const bool twice = executed && file.find(text, at + 1) != std::string::npos;
    const Result& result = judged.played.results[i];
    const bool wrong = twice || (executed && result.outcome == Outcome::not_sent) ||
                       (!executed && result.end == End::success);
    if (!wrong) continue;
    judged.damage = true;
    judged.complaints.push_back("step " + std::to_string(i) + " was executed otherwise");
  }
}

constexpr Sample sample{60, 300};

bool tried(const Fault& fault) {
  return fault.effect != Effect::choke && fault.effect != Effect::flood && sample.has(fault);
}

}  // namespace

TEMPLATE_TEST_CASE("cut: faults between a client and a real agent", "[faults]", BlockingCalls,
                   AsyncCalls) {
  qga_test::Agent agent;
  RealEnd end(agent.path());
  qga_test::TcpPairs tcp;
  TestType calls;
  const std::string path = agent.file("log.txt");
  const std::int64_t handle =
      undisturbed(end, [&](auto& client) { return client.file_open(path, "a"); });
  const nlohmann::json info =
      undisturbed(end, [](auto& client) { return client.execute("guest-info"); });
  int session = 0;
  const auto attempt = [&](const std::optional<Fault>& fault, Clock::duration timeout) {
    const Script script = session_of(++session, handle, info);
    try {
      SocketEngine<TestType> engine(calls, end, tcp, fault && fault->effect == Effect::reset,
                                    fault ? FaultyLine(*fault) : FaultyLine(), timeout);
      Judged judged =
          Oracle(script).judge(play(engine, script, TestType::batches(script)), fault, nullptr);
      undisturbed(end, [&](auto& client) { client.file_flush(handle); });
      judge_file(judged, script, session, agent.get("log.txt"));
      return judged;
    } catch (const std::exception& error) {
      return Judged{{}, {error.what()}, true};
    }
  };
  const Judged clean = attempt(std::nullopt, 60s);
  for (const std::string& complaint : clean.complaints) UNSCOPED_INFO(complaint);
  REQUIRE(clean.complaints.empty());
  Figures figures(std::string(TestType::name) + ", with a real agent, " + sample.name(),
                  clean.played.line);
  for_each_fault(clean.played.line, [&](const Fault& fault, const Kind& kind) {
    if (!tried(fault)) return;
    figures.add(fault, kind, patiently(figures, [&](Clock::duration timeout) {
                  return attempt(fault, timeout);
                }));
  });
  figures.print();
  CHECK(figures.wrong() == 0);
}
