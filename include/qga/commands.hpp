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
/// What a method says under `@return` and `@throws` holds for both, and this for every method:
///
/// **Errors.** Each is a `GuestAgentError`; `outcome()` tells what is known of the command.
/// - `ConnectError`: no connection, or the client is closed
/// - `ReadError`, `WriteError`: the channel broke
/// - `TimeoutError`: the deadline passed; the command may have run, or may yet run, unless
///   `outcome()` is `not_sent`
/// - `AgentError`: the agent refused. `CommandNotFoundError`: it does not know the command (old, or
///   another kind of guest), or it is disabled: by policy, or while file systems are frozen
/// - `BadReplyError`: the reply is malformed, too large, or not what the command replies
/// - `CancelledError`: the caller cancelled or stopped the call, closed the client under it, or
///   connected again
/// - `BusyError`: another call is using the client
/// - `RequestError`: not sent, because a string holds a NUL byte or is not UTF-8, an enumerator is
///   `unknown`, or the request is too large. Members that hold bytes (a file's, a program's input,
///   a password) take any bytes.
///
/// The next command works again after each of them but a broken connection.
///
/// **Deadline.** 5 s, unless the method says otherwise or the caller does (`ClientParams::timeout`,
/// `CallOptions::timeout`); it covers the handshake, sending and the reply. A timeout does not stop
/// the command in the guest.
///
/// **Asynchronous form.** Completes with `void(std::exception_ptr, Reply)`, or
/// `void(std::exception_ptr)` where there is no reply: the pointer is null or holds one of the
/// errors above. The handler runs on its associated executor; associated allocators and immediate
/// executors are not used. Cancellation is for each operation, through the handler's cancellation
/// slot: a command that is unsent will not be sent, and the reply to one that is sent is dropped;
/// both complete with `CancelledError`.
///
/// **Arguments** are copied or moved into the call, except where a method says otherwise. What the
/// guest replies is untrusted text and numbers: its shape is checked, its contents are not.
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
