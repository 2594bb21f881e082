// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Every helper as a method, written once for whatever can run its algorithm.
#pragma once

#include "qga/helpers/addresses.hpp"
#include "qga/helpers/capabilities.hpp"
#include "qga/helpers/clock.hpp"
#include "qga/helpers/file.hpp"
#include "qga/helpers/freeze.hpp"
#include "qga/helpers/keys.hpp"
#include "qga/helpers/process.hpp"
#include "qga/helpers/run.hpp"
#include "qga/helpers/transfer.hpp"
#include "qga/helpers/usage.hpp"
#include "qga/helpers/wait_address.hpp"
#include "qga/helpers/wait_for.hpp"
#include "qga/helpers/wait_ready.hpp"

namespace qga::inline v0_1 {

/// Tasks that take more than one command. A `Carrier` derives from this and has
/// `perform<Result, Algorithm>(arguments...)`. As with `Commands`, a method returns the result from
/// a blocking carrier, and whatever the completion token asks for from an asynchronous one.
///
/// `CallOptions::timeout` and `deadline` are for the whole helper, from its first step to its last;
/// `ClientParams::timeout` is for each of its commands. A helper's own `timeout` parameter shortens
/// that further. A helper that is cancelled or stopped still cleans up. The `outcome()` of its
/// error is for the whole: `unknown` once a step has changed something in the guest, or may have.
/// Each error is a `GuestAgentError`, of the types that `Commands` lists, unless the method says
/// otherwise.
///
/// **Asynchronous form**: of the methods of `ga.async(token)`.
/// @handler `void(std::exception_ptr, Result)`, or `void(std::exception_ptr)` where there is no
///          result
/// @cancellation as for a command. A step that was sent and has an effect is awaited where the
///          helper needs its answer to clean up; it completes with `CancelledError` when that is
///          done.
/// @executor as for a command
/// @tparam Carrier what derives from this: a client, or what its `with` and `async` return
template <class Carrier>
class Helpers : public RunHelpers<Carrier>,
                public StartHelpers<Carrier>,
                public FileHelpers<Carrier>,
                public TransferHelpers<Carrier>,
                public FreezeHelpers<Carrier>,
                public WaitReadyHelpers<Carrier>,
                public WaitAddressHelpers<Carrier>,
                public WaitForHelpers<Carrier>,
                public CapabilityHelpers<Carrier>,
                public AddressHelpers<Carrier>,
                public ClockHelpers<Carrier>,
                public KeyHelpers<Carrier>,
                public UsageHelpers<Carrier> {};

}  // namespace qga::inline v0_1
