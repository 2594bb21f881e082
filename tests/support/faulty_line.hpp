// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A line between a client and an agent on which one thing goes wrong, after any byte of either
// direction. It does no I/O: bytes go in as they are sent, and come out as they arrive, if they do.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qga_test {

enum class Way { to_agent, to_client };

enum class Effect {
  eof,           ///< no more bytes this way; what the agent has to say of those before is heard
  reset,         ///< no more bytes either way, and what is under way is lost
  stall,         ///< nothing this way until `revive`; late, but whole
  loss,          ///< nothing this way until `revive`; it never comes
  choke,         ///< as a stall, but nothing more is taken from the client either
  drip,          ///< one byte at a time from now on
  stray,         ///< a byte 0xFF
  garbage,       ///< a line that is no request and no reply
  garble,        ///< a byte that becomes another
  half_request,  ///< of another client, to the agent
  duplicate,     ///< the reply under way, or the last one, comes twice
  reorder,       ///< the next line is overtaken by the one behind it
  flood,         ///< many lines of no request and no reply
  late_lie,      ///< another reply to the request that was answered last
  nameless_lie,  ///< a reply without an id
};

/// What goes wrong, once so many bytes went this way.
struct Fault {
  Effect effect;
  Way way;
  std::size_t at;
};

class FaultyLine {
 public:
  FaultyLine() = default;
  explicit FaultyLine(const Fault& fault) : fault_(fault) {
    if (fault.at == 0) strike();
  }

  // ---- what the ends do --------------------------------------------------------------------

  /// How many bytes of the client's the line takes now.
  std::size_t room() const {
    const bool limited = fault_ && fault_->way == Way::to_agent && !revived_ &&
                         (fault_->effect == Effect::choke || fault_->effect == Effect::reset);
    return limited ? fault_->at - written_.size() : std::numeric_limits<std::size_t>::max();
  }

  void carry(Way way, std::string_view bytes) {
    if (way == Way::to_agent) {
      marks_.push_back({written_.size(), arrived_.size()});
      written_ += bytes;
    }
    Stream& stream = of(way);
    if (fault_ && !struck_ && way == fault_->way) {
      const std::size_t before = std::min(bytes.size(), fault_->at - stream.carried);
      pass(way, bytes.substr(0, before));
      bytes.remove_prefix(before);
      if (stream.carried == fault_->at) strike();
    }
    pass(way, bytes);
  }

  /// What arrives next; empty: nothing for now.
  std::string take(Way way) {
    Stream& from = of(way);
    const bool one = struck_ && fault_->effect == Effect::drip && way == fault_->way;
    std::string taken = from.ready.substr(0, one ? 1 : std::string::npos);
    from.ready.erase(0, taken.size());
    if (way == Way::to_client) arrived_ += taken;
    return taken;
  }

  /// The silence is over.
  void revive() {
    revived_ = true;
    for (Stream& stream : streams_) stream.ready += std::exchange(stream.held, {});
  }

  // ---- what became of it -------------------------------------------------------------------

  bool struck() const { return struck_; }
  bool resets() const { return struck_ && fault_->effect == Effect::reset; }
  /// Cut, and nothing is left of what still arrives.
  bool ended() const {
    return struck_ && (fault_->effect == Effect::eof || fault_->effect == Effect::reset) &&
           streams_[0].ready.empty() && streams_[1].ready.empty();
  }

  /// All that the client sent, and all that reached it.
  const std::string& written() const { return written_; }
  const std::string& arrived() const { return arrived_; }
  /// What had reached the client at the most when it sent its byte number `at`.
  std::string_view arrived_before(std::size_t at) const {
    std::size_t bytes = 0;
    for (const Mark& mark : marks_) {
      if (mark.written <= at) bytes = mark.arrived;
    }
    return std::string_view(arrived_).substr(0, bytes);
  }

 private:
  struct Stream {
    std::size_t carried = 0;
    std::string line;   ///< the part of a line that went by
    std::string ready;  ///< to arrive
    std::string held;   ///< not before `revive`, or the line behind it
  };
  struct Mark {
    std::size_t written;
    std::size_t arrived;
  };

  Stream& of(Way way) { return streams_[way == Way::to_agent ? 0 : 1]; }

  bool closed(Way way) const {
    if (!struck_) return false;
    if (fault_->effect == Effect::reset) return true;
    return fault_->effect == Effect::eof && (fault_->way == Way::to_client || way == Way::to_agent);
  }

  bool silent(Way way) const {
    return struck_ && !revived_ && way == fault_->way &&
           (fault_->effect == Effect::stall || fault_->effect == Effect::loss ||
            fault_->effect == Effect::choke);
  }

  void pass(Way way, std::string_view bytes) {
    Stream& stream = of(way);
    stream.carried += bytes.size();
    if (closed(way)) return;
    if (silent(way)) {
      if (fault_->effect != Effect::loss) stream.held += bytes;
      return;
    }
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
      std::string part(bytes.substr(0, size));
      bytes.remove_prefix(size);
      if (garbles_ && way == fault_->way) {
        garbles_ = false;
        part.front() = '\x80';
      }
      if (overtaken_ == Overtaken::next && way == fault_->way && stream.line.empty()) {
        overtaken_ = Overtaken::this_one;
      }
      const bool ends = part.back() == '\n';
      stream.line += part;
      const bool holds = overtaken_ == Overtaken::this_one && way == fault_->way;
      (holds ? stream.held : stream.ready) += part;
      if (ends) end_line(way, stream);
    }
  }

  void end_line(Way way, Stream& stream) {
    if (way == Way::to_client) {
      if (std::exchange(repeats_, false)) stream.ready += stream.line;
      stream.ready += std::exchange(inserted_, {});
      last_reply_ = stream.line;
    }
    stream.line.clear();
    if (!fault_ || way != fault_->way) return;
    if (overtaken_ == Overtaken::this_one) {
      overtaken_ = Overtaken::last;
    } else if (overtaken_ == Overtaken::last) {
      overtaken_ = Overtaken::none;
      stream.ready += std::exchange(stream.held, {});
    }
  }

  void strike() {
    struck_ = true;
    Stream& stream = of(fault_->way);
    switch (fault_->effect) {
      case Effect::reset:
        of(Way::to_client).ready.clear();
        break;
      case Effect::stray:
        stream.ready += '\xFF';
        break;
      case Effect::garbage:
        stream.ready += garbage;
        break;
      case Effect::garble:
        garbles_ = true;
        break;
      case Effect::half_request:
        of(Way::to_agent).ready +=
            "{\"execute\": \"guest-file-write\", \"arguments\": {\"handle\": 66, \"buf-b64\": "
            "\"AAAA";
        break;
      case Effect::duplicate:
        if (fault_->way == Way::to_agent && !last_reply_.empty()) {
          insert(last_reply_);
        } else {
          repeats_ = true;
        }
        break;
      case Effect::reorder:
        overtaken_ = Overtaken::next;
        break;
      case Effect::flood:
        for (int i = 0; i < 2000; ++i) stream.ready += garbage;
        break;
      case Effect::late_lie:
        if (const std::size_t id = last_reply_.rfind("\"id\": "); id != std::string::npos) {
          const std::size_t end = last_reply_.find_first_not_of("0123456789", id + 6);
          insert("{\"return\": \"a lie\", " + last_reply_.substr(id, end - id) + "}\n");
        }
        break;
      case Effect::nameless_lie:
        insert("{\"return\": \"a lie\"}\n");
        break;
      case Effect::eof:
      case Effect::stall:
      case Effect::loss:
      case Effect::choke:
      case Effect::drip:
        break;
    }
  }

  /// A whole line to the client, between two others.
  void insert(const std::string& line) {
    Stream& stream = of(Way::to_client);
    (stream.line.empty() ? stream.ready : inserted_) += line;
  }

  static constexpr std::string_view garbage = "{\"garbage\": 1}\n";

  std::optional<Fault> fault_;
  bool struck_ = false;
  bool revived_ = false;
  std::array<Stream, 2> streams_;
  bool garbles_ = false;
  bool repeats_ = false;
  std::string inserted_;
  std::string last_reply_;
  enum class Overtaken { none, next, this_one, last } overtaken_ = Overtaken::none;
  std::string written_;
  std::string arrived_;
  std::vector<Mark> marks_;
};

}  // namespace qga_test
