// SPDX-License-Identifier: LGPL-3.0-or-later
//
// `start`: a program that is followed while it runs. Its `Process` reads what it writes, writes its
// input, and ends it where it is left behind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "qga/detail/io/async_runner.hpp"
#include "qga/detail/io/blocking_runner.hpp"
#include "qga/detail/kept_token.hpp"
#include "qga/detail/protocol/carrier.hpp"
#include "qga/helpers/process_end.hpp"
#include "qga/helpers/process_state.hpp"
#include "qga/helpers/read_process.hpp"
#include "qga/helpers/start.hpp"
#include "qga/helpers/write_process.hpp"
#include "qga/params.hpp"

namespace qga::inline v0_1 {

/// What can be done with a program that was started; see `Process`. A `Carrier` derives from this.
///
/// Every error of a call that was begun is a `ProgramError`, beside its own type: `pid()`, and
/// `ended()`. Not begun are those that throw `RequestError` or `BusyError`. What is
/// asynchronous may run at the same time (one call of `read` and others), as long as all handlers
/// run on one thread or strand. Calls that are under way when the `Process` ends go on to the end
/// of the program.
template <class Carrier>
class ProcessMethods {
 public:
  /// Reads what the program has written since the last time; waits until there is something, or
  /// until the end. Nothing is lost by an error, a timeout or a cancellation: call it again.
  /// @return `ProcessOutput`: bytes of one of the outputs; converts to false where the program has
  ///         ended and all was read. From then on nothing of the program is left in the guest
  /// @throws ProgramError beside another type; an agent that was restarted has lost the files
  ///         (`AgentError`)
  /// @throws RequestError another call reads already
  /// @timeout none, unless the options of the call set one: it waits for as long as the program
  ///          writes nothing. Each request has the time of its command.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto read() { return perform<ProcessOutput, detail::ReadProcess>(); }

  /// Writes to the standard input of the program; waits until it was taken. A pipe of Linux holds
  /// 44 KiB or more that the program has not read yet.
  /// @param bytes any bytes
  /// @throws ProgramError beside another type. Its `err()` is `std::errc::broken_pipe` where the
  ///         program has ended. It is not known then how much was read
  /// @throws RequestError the input is closed, or another call writes or closes it
  /// @timeout none, unless the options of the call set one: it waits for as long as the program
  ///          reads nothing. After a timeout a part may be written.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto write(std::string bytes) { return perform<void, detail::WriteProcess>(std::move(bytes)); }

  /// Closes the standard input: the program reads its end. In a terminal, that is Ctrl-D.
  /// @throws ProgramError beside another type
  /// @throws RequestError another call writes it
  /// @timeout none for a program that is only about to begin, unless the options of the call set
  ///          one; each request has the time of its command. After a timeout the input may be
  ///          closed.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto close_input() { return perform<void, detail::CloseInput>(); }

  /// Asks whether the program runs. This shows in the guest's log; `read` and `wait` do not.
  /// @return `ProcessStatus`
  /// @throws ProgramError beside another type
  /// @timeout 60 s, unless the options of the call set another. Nothing changes in the guest.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto status() { return perform<ProcessStatus, detail::AskProcess>(); }

  /// Waits for the end of the program. Its output can be read before, meanwhile and afterwards.
  /// @return `ProcessStatus`, with how it has ended. Neither exit code nor signal: the answer that
  ///         told it was lost
  /// @throws ProgramError beside another type
  /// @timeout none, unless the options of the call set one: each request has the time of its
  ///          command. A timeout does not end the program.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto wait() { return perform<ProcessStatus, detail::WaitProcess>(); }

  /// Sends a signal to the program and its children or, in a terminal, to what runs the terminal: a
  /// Ctrl-C for the program there is `write("\x03")`.
  /// @param number of the signal in the guest, 1 to 64
  /// @throws ProgramError beside another type. Its `err()` is `std::errc::no_such_process` where
  ///         the program has ended
  /// @throws RequestError no such number
  /// @timeout none for the program that sends it, unless the options of the call set one; each
  ///          request has the time of its command. After a timeout it may be sent.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto signal(int number) { return perform<void, detail::SignalProcess>(number); }

  /// Ends the program and its children: signal 9, which is SIGKILL. In a terminal, it goes to what
  /// runs the terminal and to the program; other programs there get SIGHUP.
  /// @throws ProgramError as `signal`
  /// @timeout as `signal`
  /// @since QEMU 2.5, guests with a POSIX shell
  auto kill() { return signal(9); }

  /// Sets the size of the program's terminal, and tells the program of it.
  /// @param rows lines, 1 to 65535
  /// @param columns characters in a line, 1 to 65535
  /// @throws RequestError it has no terminal; a size out of range
  /// @throws ProgramError beside another type
  /// @timeout as `signal`
  /// @since QEMU 2.5, guests with a POSIX shell
  auto resize(unsigned rows, unsigned columns) {
    return perform<void, detail::ResizeProcess>(rows, columns);
  }

 private:
  template <class Result, template <class> class Algorithm, class... Args>
  auto perform(Args... args) {
    Carrier& carrier = detail::carrier_of(*this);
    return carrier.template run<Result, Algorithm>(carrier.state(), std::move(args)...);
  }
};

/// A program of the guest that was started by `start`, and is followed while it runs:
///
///     qga::Process build = ga.start("make", {.cwd = "/src", .merge = true});
///     while (const qga::ProcessOutput output = build.read()) std::cout << output.bytes;
///     std::cout << build.wait().exit_code.value_or(-1) << '\n';
///
/// Its methods block; `with(options)` gives them options, `async(token)` a completion token.
///
/// It ends the program (SIGKILL) when it is destroyed or its client is closed, unless the program
/// has ended or `StartParams::leave_behind` is set. Where the client has no executor, destroying it
/// waits for the answers, 5 s at most; otherwise they go on in the background. Where the program
/// that holds this is killed, or the connection breaks, the guest's program goes on.
///
/// It belongs to its connection: over a later one it is refused (`RequestError`), because the agent
/// may be another. In a forked child it does nothing. The client must live as long as this is used.
class Process : public ProcessMethods<Process> {
 public:
  Process() = default;
  /// For the library's own use.
  explicit Process(std::shared_ptr<detail::ProcessState> state) : state_(std::move(state)) {}
  Process(Process&&) noexcept = default;
  /// Ends this program as the destructor does, and then is the other.
  Process& operator=(Process&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~Process() { end(); }

  /// The process id in the guest.
  std::int64_t pid() const { return state_ ? state_->pid : 0; }
  /// Where the guest has its outputs, as files `out` and `err`: only with
  /// `StartParams::leave_behind`, until `read` has told the end; empty otherwise.
  std::string directory() const {
    return state_ && state_->leave_behind && !state_->drained ? state_->directory : "";
  }
  /// Lets the program go on when this is destroyed. Without `StartParams::leave_behind` what it
  /// writes from then on is lost.
  void release() noexcept {
    if (state_ && state_->guard) state_->guard->disarm();
  }

  /// The same methods, blocking, with options of their own. Must not outlive the process.
  class WithOptions : public ProcessMethods<WithOptions> {
   public:
    /// `Process::with` makes it.
    WithOptions(Process& process, CallOptions options)
        : process_(process), options_(std::move(options)) {}

   private:
    friend ProcessMethods<WithOptions>;
    friend Process;
    std::shared_ptr<detail::ProcessState> state() const { return process_.state(); }
    template <class Result, template <class> class Algorithm, class... Args>
    Result run(std::shared_ptr<detail::ProcessState> state, Args&&... args) {
      const auto client = state->client;
      return detail::run_helper<Result, Algorithm>(client, options_, std::move(state),
                                                   std::forward<Args>(args)...);
    }

    Process& process_;
    CallOptions options_;
  };

  /// Makes the same methods with options, such as `process.with({.timeout = 1s}).read()`.
  /// @param options of the calls that are made through what is returned
  WithOptions with(CallOptions options) { return WithOptions(*this, std::move(options)); }

  /// The same methods under a completion token. Must not outlive the process.
  template <class Token>
  class Async : public ProcessMethods<Async<Token>> {
   public:
    /// `Process::async` makes it.
    Async(Process& process, Token token, CallOptions options)
        : process_(process), token_(std::move(token)), options_(std::move(options)) {}

   private:
    friend ProcessMethods<Async>;
    std::shared_ptr<detail::ProcessState> state() const { return process_.state(); }
    template <class Result, template <class> class Algorithm, class... Args>
    auto run(std::shared_ptr<detail::ProcessState> state, Args&&... args) {
      using Op = detail::HelperOperation<Result, Algorithm>;
      auto client = state->client;
      return detail::initiate<Op>(token_.get(), std::move(client), options_, std::move(state),
                                  std::forward<Args>(args)...);
    }

    Process& process_;
    detail::KeptToken<Token> token_;
    CallOptions options_;
  };

  /// Makes the same methods under a completion token, such as
  /// `co_await process.async(asio::use_awaitable).read()`.
  /// @param token a completion token of Asio
  /// @param options of the calls that are made through what is returned
  /// @handler `void(std::exception_ptr, Result)`, or `void(std::exception_ptr)` where there is no
  ///          result
  /// @cancellation terminal and partial at any time, total while nothing was sent
  /// @executor the handler runs on its associated executor; without one, on the client's
  /// @timeout that of the method, or what `options` say
  template <class Token>
  auto async(Token&& token, CallOptions options = CallOptions()) {
    return Async<std::decay_t<Token>>(*this, std::forward<Token>(token), std::move(options));
  }

 private:
  friend ProcessMethods<Process>;
  /// Without a program: one that has no client, so that every call is refused.
  std::shared_ptr<detail::ProcessState> state() const {
    return state_ ? state_ : std::make_shared<detail::ProcessState>();
  }
  template <class Result, template <class> class Algorithm, class... Args>
  Result run(std::shared_ptr<detail::ProcessState> state, Args&&... args) {
    return with({}).run<Result, Algorithm>(std::move(state), std::forward<Args>(args)...);
  }
  /// Ends the program, although calls that are under way may still hold what is known of it.
  void end() noexcept {
    if (state_ && state_->guard) state_->guard->act();
  }

  std::shared_ptr<detail::ProcessState> state_;  ///< null: made without a program, or moved from
};

namespace detail {

template <class Io>
class Start {
 public:
  Start(Io& io, std::string path, StartParams params)
      : program_(
            io, Step(),
            [&io](std::exception_ptr error, std::shared_ptr<ProcessState> state) {
              error ? io.fail(std::move(error)) : io.finish(Process(std::move(state)));
            },
            Program{std::move(path), std::move(params)}, std::string()) {}

  void start() { program_.start(); }

 private:
  SubAlgorithm<Io, std::shared_ptr<ProcessState>, StartProgram> program_;
};

}  // namespace detail

/// Starting programs; see `Helpers`.
template <class Carrier>
class StartHelpers {
 public:
  /// Starts a program whose output can be read while it runs, and whose input can be written. Its
  /// files are in a private directory of the guest, which is removed before the program begins; see
  /// `StartParams::leave_behind`.
  ///
  /// This takes a POSIX shell in the guest, and an agent that may run programs and open files. The
  /// program runs in a session of its own where the guest has `setsid`.
  /// @param path a file, or a name that is looked for in PATH; no shell is involved
  /// @param params arguments, environment, user, terminal
  /// @return `Process`
  /// @throws AgentError no such program, user or directory, no shell, no terminal in the guest:
  ///         nothing was started
  /// @throws RequestError a NUL, a name that is none for a variable, a size out of range
  /// @throws CommandNotFoundError the agent may not do it, or file systems are frozen
  /// @timeout none for all of it, unless the options of the call set one; each request has the time
  ///          of its command. After a timeout nothing was started, or the outcome is `unknown`.
  /// @since QEMU 2.5, guests with a POSIX shell
  auto start(std::string path, StartParams params = StartParams()) {
    return detail::carrier_of(*this).template perform<Process, detail::Start>(std::move(path),
                                                                              std::move(params));
  }
};

}  // namespace qga::inline v0_1
