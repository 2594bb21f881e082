// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every helper, broken at each of its steps in each way: its error tells the fate of the whole and
// not that of the last command, and what is known beside.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent.hpp"
#include "broken_step.hpp"
#include "fate.hpp"
#include "faults.hpp"
#include "scripted_guest.hpp"

using namespace faults;

namespace {

constexpr auto silence = 400ms;

/// What a helper works on.
struct Place {
  Place() { std::ofstream(from, std::ios::binary) << std::string(2500, 'h'); }
  void prepare(ScriptedGuest& guest) {
    guest.put("/there", std::string(2500, 'g'));
    std::filesystem::remove(to);
  }

  /// Bytes on the host.
  std::uint64_t arrived() const {
    return std::filesystem::exists(to) ? std::filesystem::file_size(to) : 0;
  }

  TemporaryDirectory host;
  const std::string from = host.file("from");
  const std::string to = host.file("to");
};

template <class On>
struct Helper {
  std::string name;
  std::function<void(On&, qga::Frozen&)> use;
};

template <class On>
std::vector<Helper<On>> helpers(const Place& place) {
  using qga::Frozen;
  const qga::TransferParams in_pieces{.chunk = 1000, .in_flight = 1, .keep_partial = true};
  return {
      {"run", [](On& ga, Frozen&) { ga.run(BrokenStep::program, {.args = {"x"}}); }},
      {"run with long input",
       [](On& ga, Frozen&) {
         ga.run(BrokenStep::program, {.input = std::string(100 << 10, 'x')});
       }},
      {"upload", [&place, in_pieces](On& ga, Frozen&) { ga.upload(place.from, "/up", in_pieces); }},
      {"download",
       [&place, in_pieces](On& ga, Frozen&) { ga.download("/there", place.to, in_pieces); }},
      {"write_file", [](On& ga, Frozen&) { ga.write_file("/up", std::string(100, 'w')); }},
      {"read_file", [](On& ga, Frozen&) { ga.read_file("/there"); }},
      {"add_keys", [](On& ga, Frozen&) { ga.add_keys("user", {"ssh-rsa AAAA comment"}); }},
      {"set_clock", [](On& ga, Frozen&) { ga.set_clock(); }},
      {"capabilities", [](On& ga, Frozen&) { ga.capabilities(); }},
      {"usage", [](On& ga, Frozen&) { ga.usage(std::chrono::seconds(0)); }},
      {"thaw", [](On& ga, Frozen& frozen) { ga.thaw(frozen); }},
  };
}

template <std::size_t Size>
bool is_one_of(const std::array<std::string_view, Size>& list, std::string_view one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

/// Whether a helper may do without this answer.
bool is_dispensable(std::string_view command, Fault fault) {
  constexpr std::array<std::string_view, 7> may_be_refused{
      "guest-get-cpustats",    "guest-get-diskstats",
      "guest-get-load",        "guest-network-get-interfaces",
      "guest-fsfreeze-status", "guest-ssh-get-authorized-keys",
      "guest-file-seek"};
  constexpr std::array<std::string_view, 4> without_result{
      "guest-file-flush", "guest-file-close", "guest-set-time", "guest-ssh-add-authorized-keys"};
  return (fault == Fault::refused && is_one_of(may_be_refused, command)) ||
         (fault == Fault::bad && is_one_of(without_result, command));
}

void check_outcome(const Fate& fate, const BrokenStep& broken, Fault fault) {
  if (broken.effect()) {
    CHECK(fate.outcome == Outcome::unknown);
  } else if (fault == Fault::refused) {
    CHECK(fate.outcome == Outcome::refused);
  } else {
    CHECK(fate.outcome != Outcome::refused);
  }
}

/// Uses a helper of which one step is broken.
/// @return false where it has no such step
template <class Way>
bool try_step(const std::string& name, Place& place, std::size_t step, Fault fault) {
  ScriptedGuest guest;
  place.prepare(guest);
  Way ga(guest.path());
  qga::Frozen frozen;
  if (name == "thaw") frozen = ga.freeze();
  const bool await_late = name == "run" || name == "upload";
  const BrokenStep broken(guest, step, fault, await_late);
  qga::CallOptions options;
  if (fault == Fault::silent) options.timeout = silence;
  auto on = ga.with(options);
  const auto all = helpers<decltype(on)>(place);
  const auto helper =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
  const Fate fate = fate_of([&] { helper->use(on, frozen); });
  const std::string command = broken.command();
  INFO(name << " at step " << step << ", " << command << " " << fault << ": " << fate);
  if (!broken.reached()) {
    REQUIRE_FALSE(fate.error);
    return false;
  }
  if (broken.left_out()) return true;
  if (!fate.error) {
    // An upload goes on where no shell makes its file.
    const bool uploads = name == "upload" || name == "write_file";
    const bool no_shell = uploads && command.starts_with("guest-exec") && fault == Fault::refused;
    CHECK((no_shell || is_dispensable(command, fault)));
    return true;
  }
  CHECK(is_expected(fate, fault));
  check_outcome(fate, broken, fault);
  CHECK(fate.pid == broken.pid());
  if (name == "upload" && broken.opened()) CHECK(fate.bytes == guest.get("/up").size());
  if (name == "download" && broken.opened()) {
    CHECK(fate.bytes == place.arrived());
  }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("helpers: what is known where a step breaks", "[faults]", Blocking, Async) {
  const std::string name =
      GENERATE("run", "run with long input", "upload", "download", "write_file", "read_file",
               "add_keys", "set_clock", "capabilities", "usage", "thaw");
  const Fault fault = GENERATE(Fault::closed, Fault::refused, Fault::silent, Fault::bad);
  Place place;
  std::size_t step = 1;
  while (try_step<TestType>(name, place, step, fault)) ++step;
  CHECK(step > 1);
}
