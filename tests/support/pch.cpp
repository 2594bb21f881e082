// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Nothing but pch.hpp, which CMake builds only for a target with a source that uses it.
