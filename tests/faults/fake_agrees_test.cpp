// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A faked program is to a client what a real one is: the same checks, of the same programs, with a
// real agent on this machine and with qga::testing::Agent.
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "agent.hpp"
#include "faults.hpp"
#include "followed.hpp"
#include "qga/client.hpp"
#include "qga/testing/agent.hpp"

using namespace faults;
using FakeAgent = qga::testing::Agent;
using qga::testing::ProgramCall;
using qga::testing::ProgramResult;
using qga::testing::RunningProgram;

namespace {

// What the real programs are, as scripts of a shell. The faked ones know them by these.
constexpr const char* ends_with_7 = "echo out; echo err >&2; exit 7";
constexpr const char* ignores_15 = "trap '' TERM; echo ready; read x; echo \"$x\"; exit 3";
constexpr const char* handles_15 = "trap 'echo caught; exit 4' TERM; echo ready; read x";
constexpr const char* tells_place = "echo \"$A|$B|$TERM\"; pwd; id -un";
constexpr const char* tells_size = "read x; stty size";
constexpr const char* dies_of_11 = "kill -SEGV $$";

void echo(RunningProgram& program) {
  program.on_input([](RunningProgram& me, std::string_view bytes) {
    bytes.empty() ? me.exit() : me.write(bytes);
  });
}

void shell(RunningProgram& program) {
  const std::string& script = program.call().args.at(1);
  const auto variable = [&](const char* name) {
    return program.call().variable(name).value_or("");
  };
  if (script == ends_with_7) {
    program.write("out\n");
    program.write("err\n", qga::ProcessStream::err);
    program.exit(7);
  } else if (script == ignores_15) {
    program.write("ready\n");
    program.on_signal([](RunningProgram&, int) {});
    program.on_input([](RunningProgram& me, std::string_view line) {
      me.write(line.empty() ? "\n" : line);
      me.exit(3);
    });
  } else if (script == handles_15) {
    program.write("ready\n");
    program.on_signal([](RunningProgram& me, int) {
      me.write("caught\n");
      me.exit(4);
    });
  } else if (script == tells_place) {
    program.write(variable("A") + '|' + variable("B") + '|' + variable("TERM") + '\n');
    program.write(program.call().cwd + '\n' + program.call().user + '\n');
    program.exit();
  } else if (script == tells_size) {
    program.on_input([](RunningProgram& me, std::string_view) {
      const qga::Terminal size = me.terminal().value();
      me.write(std::to_string(size.rows) + ' ' + std::to_string(size.columns) + '\n');
      me.exit();
    });
  } else if (script == dies_of_11) {
    program.end_by_signal(11);
  }
}

/// The same programs as on a real machine.
void add_programs(qga::testing::Guest& guest) {
  guest.add_program("/bin/cat", echo);
  guest.add_program("/bin/sh", shell);
  guest.add_program("/bin/sleep", [](RunningProgram&) {});
  guest.add_program("/bin/true", [](const ProgramCall&) { return ProgramResult(); });
  guest.add_program("/usr/bin/tr", [](const ProgramCall& call) {
    std::string out = call.input;
    for (char& c : out) c = c == call.args.at(0).at(0) ? call.args.at(1).at(0) : c;
    return ProgramResult{.out = out};
  });
}

std::string text_of(const qga::ProcessStatus& status) {
  return !status.ended      ? "runs"
         : status.exit_code ? "code " + std::to_string(*status.exit_code)
         : status.signal    ? "signal " + std::to_string(*status.signal)
                            : "ended somehow";
}

/// The user of this process, or the one that a real agent runs as in its place.
std::string agent_user() { return ::geteuid() == 0 ? "nobody" : ::getpwuid(::geteuid())->pw_name; }

/// What a client has seen: one line for each thing.
template <class Way>
std::string see_echo(Way& ga) {
  Followed cat(ga, "cat");
  cat.write("one\n");
  std::string seen = cat.read_bytes(4);
  cat.write("two\n");
  seen += cat.read_bytes(4);
  cat.close_input();
  seen += cat.read() ? "more\n" : "no more\n";
  return seen + text_of(cat.wait());
}

template <class Way>
std::string see_much(Way& ga) {
  Followed cat(ga, "cat");
  std::string bytes;
  while (bytes.size() < 150'000) bytes += std::to_string(bytes.size()) + '\n';
  cat.write(bytes);
  cat.close_input();
  return (cat.read_all().first == bytes ? "the same\n" : "not the same\n") + text_of(cat.wait());
}

template <class Way>
std::string see_code(Way& ga) {
  Followed program(ga, "/bin/sh", {.args = {"-c", ends_with_7}});
  const auto [out, err] = program.read_all();
  return out + err + text_of(program.wait());
}

template <class Way>
std::string see_merged(Way& ga) {
  Followed program(ga, "/bin/sh", {.args = {"-c", ends_with_7}, .merge = true});
  const auto [out, err] = program.read_all();
  return out + "and " + err + text_of(program.status());
}

template <class Way>
std::string see_filter(Way& ga) {
  Followed tr(ga, "tr", {.args = {"a", "o"}});
  tr.write("b");
  tr.write("anana\n");
  std::string seen = text_of(tr.status()) + '\n';
  tr.close_input();
  seen += tr.read_all().first;
  return seen + text_of(tr.wait());
}

template <class Way>
std::string see_killed(Way& ga) {
  Followed program(ga, "sleep", {.args = {"1000"}});
  std::string seen = text_of(program.status()) + '\n';
  program.signal(9);
  seen += text_of(program.wait()) + '\n';
  const auto error = error_of<qga::ProgramError>([&] { program.signal(9); });
  seen += error.ended() && error.err() == std::errc::no_such_process ? "no such process\n" : "?\n";
  return seen + (program.read() ? "output" : "no output");
}

template <class Way>
std::string see_terminated(Way& ga) {
  Followed program(ga, "sleep", {.args = {"1000"}});
  program.signal(28);  // SIGWINCH does nothing
  std::string seen = text_of(program.status()) + '\n';
  program.signal(15);
  return seen + text_of(program.wait());
}

template <class Way>
std::string see_ignored(Way& ga) {
  Followed program(ga, "/bin/sh", {.args = {"-c", ignores_15}});
  std::string seen = program.read_bytes(6);
  program.signal(15);
  seen += text_of(program.status()) + '\n';
  program.write("go\n");
  seen += program.read_all().first;
  return seen + text_of(program.wait());
}

template <class Way>
std::string see_handled(Way& ga) {
  Followed program(ga, "/bin/sh", {.args = {"-c", handles_15}});
  std::string seen = program.read_bytes(6);
  program.signal(15);
  program.close_input();
  seen += program.read_all().first;
  return seen + text_of(program.wait());
}

template <class Way>
std::string see_own_signal(Way& ga) {
  return text_of(Followed(ga, "/bin/sh", {.args = {"-c", dies_of_11}}).wait());
}

template <class Way>
std::string see_no_reader(Way& ga) {
  Followed program(ga, "sleep", {.args = {"1000"}});
  program.write(std::string(16 * 2816, 'x'));  // a piece of the library fills a page of the pipe
  const auto late = error_of<qga::ProgramError>(
      [&] { program.write(std::string(2816, 'x'), {.timeout = brief}); });
  std::string seen = late.code() == qga::err_timed_out ? "full\n" : late.what();
  seen += text_of(program.status()) + '\n';
  program.signal(9);
  program.wait();
  const auto over = error_of<qga::ProgramError>([&] { program.write("x"); });
  return seen + (over.err() == std::errc::broken_pipe ? "broken pipe" : over.what());
}

template <class Way>
std::string see_end_while_writing(Way& ga) {
  Followed program(ga, "/bin/true");
  const auto error = error_of<qga::ProgramError>([&] { program.write(std::string(200'000, 'x')); });
  std::string seen = error.err() == std::errc::broken_pipe ? "broken pipe\n" : error.what();
  return seen + text_of(program.status());
}

template <class Way>
std::string see_closed_input(Way& ga) {
  Followed program(ga, "cat");
  program.close_input();
  program.close_input();
  const auto error = error_of<qga::RequestError>([&] { program.write("x"); });
  return text_of(program.wait()) + (error.err() == std::errc::bad_file_descriptor ? " closed" : "");
}

template <class Way>
std::string see_place(Way& ga) {
  Followed program(ga, "/bin/sh",
                   {.args = {"-c", tells_place},
                    .env = {{"A=it's", "B=lost", "PATH=/usr/bin:/bin"}},
                    .add_env = {"B=two\nlines"},
                    .cwd = "/usr",
                    .user = agent_user()});
  const std::string out = program.read_all().first;
  const std::string user = agent_user() + '\n';
  return out.ends_with(user) ? out.substr(0, out.size() - user.size()) : "another user: " + out;
}

template <class Way>
std::string see_run(Way& ga) {
  std::string seen;
  const qga::RunResult result =
      ga.run("tr", {.args = {"a", "o"},
                    .cwd = "/usr",
                    .input = "banana\n",
                    .output = [&](qga::ProcessStream, std::string_view bytes) { seen += bytes; }});
  const qga::RunResult kept = ga.run("/bin/sh", {.args = {"-c", ends_with_7}, .cwd = "/usr"});
  return seen + result.out + kept.out + kept.err + std::to_string(kept.exit_code.value_or(-1));
}

template <class Way>
std::string see_no_program(Way& ga) {
  const auto error = error_of<qga::AgentError>([&] { ga.start("/no/such"); });
  const bool none =
      std::string_view(error.what()).find("no such program: /no/such") != std::string_view::npos;
  return none && error.outcome() == Outcome::refused ? "no such program" : error.what();
}

template <class Way>
std::string see_left_behind(Way& ga) {
  Followed program(ga, "/bin/sh", {.args = {"-c", ignores_15}, .leave_behind = true});
  std::string seen = program.read_bytes(6);
  const std::string directory = program.process().directory();
  seen += ga.read_file(directory + "/out");
  program.write("bye\n");
  seen += program.read_all().first;
  const auto error = error_of<qga::AgentError>([&] { ga.read_file(directory + "/out"); });
  return seen + (error.outcome() == Outcome::refused ? "and removed" : error.what());
}

template <class Way>
std::string see_terminal(Way& ga) {
  Followed cat(ga, "cat", {.terminal = qga::Terminal{}});
  cat.write("one\n");
  std::string seen = cat.read_bytes(10);
  cat.write("tx\x7Fwo\n");
  seen += cat.read_bytes(13);
  cat.close_input();
  seen += cat.read_all().first;
  return seen + text_of(cat.wait());
}

template <class Way>
std::string see_interrupt(Way& ga) {
  Followed cat(ga, "cat", {.terminal = qga::Terminal{}});
  cat.write("one\n");
  std::string seen = cat.read_bytes(10);
  cat.write("\x03");
  seen += cat.read_all().first + '\n';
  return seen + text_of(cat.wait());
}

template <class Way>
std::string see_resize(Way& ga) {
  Followed program(ga, "/bin/sh",
                   {.args = {"-c", tells_size}, .terminal = qga::Terminal{30, 90, "vt100"}});
  program.resize(33, 99);
  program.write("\n");
  const std::string seen = program.read_all().first;
  const auto error = error_of<qga::RequestError>([&] { Followed(ga, "cat").resize(2, 3); });
  return seen + text_of(program.wait()) + (error.outcome() == Outcome::not_sent ? " refused" : "");
}

template <class Way>
std::string see_terminal_killed(Way& ga) {
  Followed cat(ga, "cat", {.terminal = qga::Terminal{}});
  cat.write("one\n");
  std::string seen = cat.read_bytes(10);
  cat.signal(9);
  return seen + text_of(cat.wait());
}

/// @return a line for each check whose result is another than expected
template <class Way>
void check_all(const std::string& path, const std::string& whose) {
  const struct {
    const char* name;
    std::string (*see)(Way&);
    std::string expected;
  } checks[] = {
      {"a program that echoes", see_echo, "one\ntwo\nno more\ncode 0"},
      {"more than a pipe holds", see_much, "the same\ncode 0"},
      {"an exit code", see_code, "out\nerr\ncode 7"},
      {"merged outputs", see_merged, "out\nerr\nand code 7"},
      {"a program that reads all of its input first", see_filter, "runs\nbonono\ncode 0"},
      {"killed", see_killed, "runs\nsignal 9\nno such process\nno output"},
      {"another signal", see_terminated, "runs\nsignal 15"},
      {"a signal that is ignored", see_ignored, "ready\nruns\ngo\ncode 3"},
      {"a signal that is handled", see_handled, "ready\ncaught\ncode 4"},
      {"a signal of its own", see_own_signal, "signal 11"},
      {"a program that never reads", see_no_reader, "full\nruns\nbroken pipe"},
      {"a program that ends and does not read", see_end_while_writing, "broken pipe\ncode 0"},
      {"closed input", see_closed_input, "code 0 closed"},
      {"environment, directory and user", see_place, "it's|two\nlines|\n/usr\n"},
      {"run with output, and in a directory", see_run, "bonono\nout\nerr\n7"},
      {"no such program", see_no_program, "no such program"},
      {"left behind", see_left_behind, "ready\nready\nbye\nand removed"},
      {"a terminal", see_terminal, "one\r\none\r\ntx\b \bwo\r\ntwo\r\ncode 0"},
      {"a Ctrl-C", see_interrupt, "one\r\none\r\n^C\ncode 130"},
      {"the size of a terminal", see_resize, "\r\n33 99\r\ncode 0 refused"},
      {"a terminal that is killed", see_terminal_killed, "one\r\none\r\nsignal 9"},
  };
  for (const auto& check : checks) {
    INFO(whose << ": " << check.name);
    Way ga(path);
    std::string seen;
    try {
      seen = check.see(ga);
    } catch (const std::exception& error) {
      seen = error.what();
    }
    ga.settle();
    CHECK(seen == check.expected);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("fake agrees: a real agent", "[faults]", Blocking, Async) {
  Agent agent;
  check_all<TestType>(agent.path(), "real");
}

TEMPLATE_TEST_CASE("fake agrees: a faked guest", "[faults]", Blocking, Async) {
  FakeAgent agent;
  add_programs(agent.guest());
  check_all<TestType>(agent.path(), "faked");
  CHECK(agent.files().paths().empty());
  CHECK(agent.guest().open_handles() == 0);
}
