// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Keeps a watch for each guest that is there, and looks at all of them together.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../tool.hpp"
#include "../watch.hpp"
#include "figures.hpp"

namespace qga_tool {

class Fleet {
 public:
  /// The text, the same for all who asked for it at that time.
  using Text = std::shared_ptr<const std::string>;
  using Done = std::function<void(const Text&)>;

  explicit Fleet(Tool& tool) : tool_(tool) {}

  /// Looks at the guests that are there now, and makes the text of it. Who asks while that is under
  /// way, or within a second of it, is given the same. `done` is called on the tool's context, or
  /// at once.
  void look(Done done);

 private:
  struct Guest {
    std::string name;
    std::unique_ptr<Watch> watch;  ///< null: no descriptor is left for it
  };

  void find_guests();
  void finish();

  Tool& tool_;
  const std::size_t most_ = most_connected();
  std::map<std::string, Guest> guests_;  ///< by their addresses
  std::vector<Done> waiting_;
  std::vector<GuestFigures> figures_;
  std::size_t unanswered_ = 0;
  qga::Clock::time_point begun_;
  Text text_;
  qga::Clock::time_point made_;
};

}  // namespace qga_tool
