// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A waker: which pause it ends.
#include "qga/detail/protocol/waker.hpp"
#include "catch.hpp"

using qga::detail::Waker;

TEST_CASE("waker: ends the pause that is under way, once") {
  Waker waker;
  int ended = 0;
  REQUIRE(waker.begin_pause([&] { ++ended; }));
  waker.wake();
  CHECK(ended == 1);
  waker.pause_ended();
  CHECK(waker.begin_pause([&] { ++ended; }));
  CHECK(ended == 1);
}

TEST_CASE("waker: without a pause it is the next one that is over") {
  Waker waker;
  SECTION("there was none yet") {}
  SECTION("the earlier one has ended by itself") {
    REQUIRE(waker.begin_pause([] { FAIL("it has ended before"); }));
    waker.pause_ended();
  }
  waker.wake();
  CHECK_FALSE(waker.begin_pause([] {}));
  CHECK(waker.begin_pause([] {}));
}
