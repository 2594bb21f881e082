// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Keeps a watch for each guest, and compares what it answers with what it answered before.
#include "watchers.hpp"

#include <algorithm>
#include <utility>

namespace qga_tool::top {

namespace {

/// For how many samples a guest is shown that is gone.
constexpr int samples_gone = 3;

}  // namespace

struct Watchers::Entry {
  Entry(Tool& tool, const GuestName& guest)
      : watched{.guest = guest, .row = {.name = guest.name}},
        watch(tool.context, guest, tool.client_params()) {}

  Watched watched;
  Watch watch;
  bool is_asked = false;
  int gone_for = 0;  ///< samples
};

Watchers::Watchers(Tool& tool, std::function<void()> changed)
    : tool_(tool), changed_(std::move(changed)) {}
Watchers::~Watchers() = default;

void Watchers::sample() {
  std::vector<GuestName> now;
  try {
    now = tool_.guests.now();
  } catch (const UsageError&) {  // no guest is left
  }
  std::map<std::string, std::shared_ptr<Entry>> before;
  for (const auto& entry : entries_) before.emplace(entry->watched.guest.address, entry);
  entries_.clear();
  for (const GuestName& guest : now) {
    const auto found = before.find(guest.address);
    const bool is_new = found == before.end();
    entries_.push_back(is_new ? std::make_shared<Entry>(tool_, guest) : found->second);
    if (!is_new) before.erase(found);
    Entry& entry = *entries_.back();
    entry.watched.guest = guest;
    entry.watched.row.name = guest.name;
    entry.watched.row.gone = false;
    entry.gone_for = 0;
    if (entries_.size() > most_) {
      keep(entry, unwatched());
    } else if (!entry.is_asked) {
      look(entries_.back());
    }
  }
  for (const auto& [address, entry] : before) {
    entry->watched.row.gone = true;
    if (++entry->gone_for <= samples_gone) {
      entries_.push_back(entry);
    } else if (entry->is_asked) {
      --unanswered_;
    }
  }
}

void Watchers::look(const std::shared_ptr<Entry>& entry) {
  entry->is_asked = true;
  ++unanswered_;
  entry->watch.look([this, weak = std::weak_ptr(entry)](Look look) {
    const std::shared_ptr<Entry> living = weak.lock();
    if (!living) return;
    living->is_asked = false;
    --unanswered_;
    keep(*living, std::move(look));
    changed_();
  });
}

void Watchers::keep(Entry& entry, Look look) {
  Watched& watched = entry.watched;
  const bool was_ready = watched.look && watched.look->state == GuestState::ready;
  watched.usage.reset();
  if (was_ready && look.state == GuestState::ready) {
    watched.usage = qga::usage_between(watched.look->sample, look.sample);
  }
  const bool gone = watched.row.gone;
  if (look.version.empty()) look.version = watched.row.version;
  watched.row = row_of(watched.guest.name, look, watched.usage);
  watched.row.gone = gone;
  watched.look = std::move(look);
}

std::vector<const Watched*> Watchers::guests() const {
  std::vector<const Watched*> all;
  for (const auto& entry : entries_) all.push_back(&entry->watched);
  return all;
}

const Watched* Watchers::find(const std::string& address) const {
  for (const auto& entry : entries_) {
    if (entry->watched.guest.address == address) return &entry->watched;
  }
  return nullptr;
}

}  // namespace qga_tool::top
