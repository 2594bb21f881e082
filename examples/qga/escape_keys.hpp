// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The keys that are for the tool and not for the program in a terminal of the guest, as with ssh.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace qga_tool {

/// `~.` at the beginning of a line leaves; `~~` there is one `~`.
class EscapeKeys {
 public:
  /// @return what is for the program; nothing: the user wants to leave
  std::optional<std::string> add(std::string_view typed) {
    std::string keys;
    for (const char key : typed) {
      const bool begins_line = std::exchange(begins_line_, key == '\r' || key == '\n');
      if (std::exchange(tilde_, false)) {
        if (key == '.') return std::nullopt;
        keys += key == '~' ? "~" : std::string{'~', key};
      } else if (begins_line && key == '~') {
        tilde_ = true;
      } else {
        keys += key;
      }
    }
    return keys;
  }

 private:
  bool begins_line_ = true;
  bool tilde_ = false;
};

}  // namespace qga_tool
