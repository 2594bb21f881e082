// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Watches all guests of the command line, whose number changes: patterns are looked up anew at each
// sample, and guests that are gone are shown as gone for a moment.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <qga/client.hpp>

#include "../guests.hpp"
#include "../tool.hpp"
#include "../watch.hpp"
#include "row.hpp"

namespace qga_tool::top {

/// A guest, and what it has answered.
struct Watched {
  GuestName guest;
  std::optional<Look> look = {};         ///< the latest
  std::optional<qga::Usage> usage = {};  ///< between that one and the one before
  Row row = {};                          ///< what a list says about it
};

class Watchers {
 public:
  /// @param changed is called when a guest has answered
  Watchers(Tool& tool, std::function<void()> changed);
  ~Watchers();
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  /// Looks up the guests, and looks at each that has answered the look before.
  void sample();
  /// How many guests have not answered the last look yet.
  std::size_t unanswered() const { return unanswered_; }
  /// The guests in the order in which they were found.
  std::vector<const Watched*> guests() const;
  /// The guest with this address; nullptr: it is not there.
  const Watched* find(const std::string& address) const;

 private:
  struct Entry;
  void look(const std::shared_ptr<Entry>& entry);
  void keep(Entry& entry, Look look);

  Tool& tool_;
  const std::size_t most_ = most_connected();
  std::function<void()> changed_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::size_t unanswered_ = 0;
};

}  // namespace qga_tool::top
