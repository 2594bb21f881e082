// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every command of the agent as a method, written once for whatever can carry a request.
#pragma once

#include "qga/commands/account.hpp"
#include "qga/commands/agent.hpp"
#include "qga/commands/cpu.hpp"
#include "qga/commands/device.hpp"
#include "qga/commands/disk.hpp"
#include "qga/commands/exec.hpp"
#include "qga/commands/file.hpp"
#include "qga/commands/fsfreeze.hpp"
#include "qga/commands/memory.hpp"
#include "qga/commands/network.hpp"
#include "qga/commands/power.hpp"
#include "qga/commands/system.hpp"
#include "qga/error.hpp"

namespace qga::inline v0_1 {

/// The 46 commands of the agent, a method each, named as the command without `guest-` and with
/// underscores for dashes. A `Carrier` derives from this and has `execute(request)` and
/// `execute(request, projection)`, which send the request and give its `Reply`, the latter through
/// `std::invoke(projection, reply)`. A method returns what `execute` returns: the reply from a
/// blocking carrier, whatever the completion token asks for from an asynchronous one.
///
/// The documentation of a method holds for both. The following holds for every method:
///
/// **Errors.** Each is a `GuestAgentError`; `outcome()` tells what is known of the command.
/// - `ConnectError` (`err_no_connect`): no connection, or the client is closed
/// - `ReadError` (`err_cannot_read`), `WriteError` (`err_cannot_write`): the channel broke
/// - `TimeoutError` (`err_timed_out`): the deadline passed; the command may have run, or may yet
///   run, unless `outcome()` is `not_sent`
/// - `AgentError` (`err_from_agent`): the agent refused. `CommandNotFoundError`, which is one: it
///   does not know the command (old, or another kind of guest), or it is disabled: by policy, or
///   while file systems are frozen
/// - `BadReplyError` (`err_bad_reply`): the reply is malformed, too large, or not what the command
///   replies
/// - `CancelledError` (`err_cancelled`): the caller cancelled or stopped the call, closed the
///   client under it, or connected again
/// - `BusyError` (`err_cannot_write`): another call is using the client
/// - `RequestError` (`err_cannot_write`): not sent, because a string holds a NUL byte or is not
///   UTF-8, an enumerator is `unknown`, or the request is too large. Members that hold bytes (a
///   file's, a program's input, a password) take any bytes.
///
/// The next command works again after each of them but a broken connection.
///
/// **Deadline.** Each method names its default under "Timeout". The caller's own value
/// (`ClientParams::timeout`, `CallOptions::timeout`) takes its place. It covers the handshake,
/// sending and the reply. A timeout does not stop the command in the guest.
///
/// **Asynchronous form**: of the methods of `ga.async(token)`.
/// @handler `void(std::exception_ptr, Reply)`, or `void(std::exception_ptr)` where there is no
///          reply. The pointer is null, or holds one of the errors above.
/// @cancellation terminal and partial at any time, total while nothing was sent. A command that is
///          unsent will not be sent, and the reply to one that was sent is dropped; both complete
///          with `CancelledError`. `CallOptions::stop` does the same.
/// @executor the handler runs on its associated executor; without one, on the client's. Associated
///          allocators and immediate executors are not used. I/O is done on the client's executor;
///          where it has none, on that of its first handler; where that has none either, on the
///          system's threads.
///
/// @par Arguments
/// They are copied or moved into the call, except where a method says otherwise. What the guest
/// replies is untrusted text and numbers: its shape is checked, its contents are not.
/// @tparam Carrier what derives from this: a client, or what its `with` and `async` return
template <class Carrier>
class Commands : public AgentCommands<Carrier>,
                 public FileCommands<Carrier>,
                 public ExecCommands<Carrier>,
                 public FsfreezeCommands<Carrier>,
                 public PowerCommands<Carrier>,
                 public SystemCommands<Carrier>,
                 public NetworkCommands<Carrier>,
                 public CpuCommands<Carrier>,
                 public MemoryCommands<Carrier>,
                 public DiskCommands<Carrier>,
                 public DeviceCommands<Carrier>,
                 public AccountCommands<Carrier> {};

}  // namespace qga::inline v0_1
