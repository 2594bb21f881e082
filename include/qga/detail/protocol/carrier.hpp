// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The methods of commands and helpers are written once, in families such as
// `FileCommands<Carrier>`. A carrier (a client, or one of its forms) derives from them, and sends
// the requests.
#pragma once

namespace qga::inline v0_1::detail {

/// The carrier that derives from a family of methods.
template <template <class> class Family, class Carrier>
Carrier& carrier_of(Family<Carrier>& family) {
  return static_cast<Carrier&>(family);
}

}  // namespace qga::inline v0_1::detail
