// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Finds guests that appear and forgets those that vanish, before each look.
#include "fleet.hpp"

#include <chrono>
#include <utility>

namespace qga_tool {

void Fleet::look(Done done) {
  using namespace std::chrono_literals;
  const auto now = qga::Clock::now();
  if (text_ && now - made_ < 1s) return done(text_);
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  begun_ = now;
  find_guests();
  figures_.assign(guests_.size(), {});
  unanswered_ = guests_.size() + 1;
  std::size_t index = 0;
  for (auto& [address, guest] : guests_) {
    GuestFigures& figures = figures_[index++];
    figures.guest = guest.name;
    if (!guest.watch) {
      figures.look = unwatched();
      --unanswered_;
      continue;
    }
    guest.watch->look([this, &figures, watch = guest.watch.get()](Look look) {
      figures.look = std::move(look);
      figures.last_thawed = watch->last_thawed();
      finish();
    });
  }
  finish();
}

void Fleet::find_guests() {
  std::vector<GuestName> names;
  try {
    names = tool_.guests.now();
  } catch (const UsageError&) {
    // There is none now. There may be later.
  }
  std::map<std::string, Guest> guests;
  std::size_t watched = 0;
  for (GuestName& guest : names) {
    Guest& kept = guests[guest.address];
    const auto found = guests_.find(guest.address);
    if (found != guests_.end()) kept.watch = std::move(found->second.watch);
    kept.name = guest.name;
    if (++watched > most_) {
      kept.watch.reset();
    } else if (!kept.watch) {
      kept.watch = std::make_unique<Watch>(tool_, std::move(guest));
    }
  }
  guests_ = std::move(guests);
}

void Fleet::finish() {
  if (--unanswered_ > 0) return;
  made_ = qga::Clock::now();
  text_ = std::make_shared<const std::string>(metrics_text(figures_, made_ - begun_));
  figures_.clear();
  for (const Done& done : std::exchange(waiting_, {})) done(text_);
}

}  // namespace qga_tool
