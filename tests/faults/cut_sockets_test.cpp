// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The faults of the cut test through real sockets, with both drivers.
#include "cut_sockets.hpp"

using namespace cuts;

namespace {

/// Every byte is tried in memory; here some, because each takes a connection.
constexpr Sample sample{10, 60};

bool tried(const Fault& fault) {
  return fault.effect != Effect::choke  // a socket has buffers
         && sample.has(fault);
}

template <class Calls>
Judged play_over_sockets(Calls& calls, qga_test::TcpPairs& tcp, const Script& script,
                         const std::optional<Fault>& fault, Clock::duration timeout) {
  ReplayAgent agent(script);
  Replaying end(agent);
  try {
    SocketEngine<Calls> engine(calls, end, tcp, fault && fault->effect == Effect::reset,
                               fault ? FaultyLine(*fault) : FaultyLine(), timeout);
    return Oracle(script).judge(play(engine, script, Calls::batches(script)), fault, &agent);
  } catch (const std::exception& error) {
    return {{}, {error.what()}, true};
  }
}

}  // namespace

TEMPLATE_TEST_CASE("cut: every fault through sockets", "[faults]", BlockingCalls, AsyncCalls) {
  const Script script = recorded_session();
  qga_test::TcpPairs tcp;
  TestType calls;
  const Judged clean = play_over_sockets(calls, tcp, script, std::nullopt, 60s);
  for (const std::string& complaint : clean.complaints) UNSCOPED_INFO(complaint);
  REQUIRE(clean.complaints.empty());
  REQUIRE(clean.played.results.size() == script.steps.size());
  Figures figures(std::string(TestType::name) + ", through sockets, " + sample.name(),
                  clean.played.line);
  for_each_fault(clean.played.line, [&](const Fault& fault, const Kind& kind) {
    if (!tried(fault)) return;
    figures.add(fault, kind, patiently(figures, [&](Clock::duration timeout) {
                  return play_over_sockets(calls, tcp, script, fault, timeout);
                }));
  });
  figures.print();
  CHECK(figures.wrong() == 0);
}
