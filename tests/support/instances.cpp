// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Compiles what instances.hpp names.
#define QGA_TEST_INSTANCE template
#include "instances.hpp"
