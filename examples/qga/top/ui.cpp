// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Puts a title, a part of a page and a line about the keys together.
#include "ui.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "../print.hpp"
#include "guest_view.hpp"
#include "help_view.hpp"
#include "list_view.hpp"

namespace qga_tool::top {

namespace {

using namespace std::chrono_literals;

constexpr std::array<Ui::Interval, 9> intervals{500ms, 1000ms,  2000ms,  3000ms, 5000ms,
                                                10s,   20000ms, 30000ms, 60000ms};

std::string interval_text(Ui::Interval interval) {
  const auto count = interval.count();
  return number_text(static_cast<double>(count) / 1000, count % 1000 == 0 ? 0 : 1) + " s";
}

using Keys = std::vector<std::pair<std::string_view, std::string>>;

Line footer(const Keys& keys, int width) {
  Line line;
  for (const auto& [key, meaning] : keys) {
    const int needed = line.width() + width_of(key) + width_of(meaning) + 2;
    if (needed > width) break;
    line.add(" ").add(key, Style::key).add(" ").add(meaning, Style::faint).add(" ");
  }
  return line.limit(width);
}

/// How many guests are in which state, such as `196 ready`.
void add_states(Line& line, const std::vector<const Watched*>& guests) {
  struct Count {
    std::string_view text;
    Style style;
    int count = 0;
  };
  std::array<Count, 4> counts{{{"ready", Style::good},
                               {"frozen", Style::frozen},
                               {"silent", Style::fair},
                               {"no channel", Style::bad}}};
  for (const Watched* guest : guests) {
    if (guest->row.state && !guest->row.gone) {
      ++counts[static_cast<std::size_t>(*guest->row.state)].count;
    }
  }
  for (const auto& [text, style, count] : counts) {
    if (count == 0) continue;
    line.add("  ").add(std::to_string(count) + " ", style).add(text, style);
  }
}

std::string text_of(char32_t character) {
  std::string text;
  const auto byte = [&text](char32_t value) { text += static_cast<char>(value); };
  if (character < 0x80) {
    byte(character);
  } else if (character < 0x800) {
    byte(0xC0 | (character >> 6));
    byte(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    byte(0xE0 | (character >> 12));
    byte(0x80 | ((character >> 6) & 0x3F));
    byte(0x80 | (character & 0x3F));
  } else {
    byte(0xF0 | (character >> 18));
    byte(0x80 | ((character >> 12) & 0x3F));
    byte(0x80 | ((character >> 6) & 0x3F));
    byte(0x80 | (character & 0x3F));
  }
  return text;
}

}  // namespace

Ui::Ui(bool only_one, Interval interval)
    : only_one_(only_one), interval_(interval), page_(only_one ? Page::guest : Page::list) {}

// ---- keys ---------------------------------------------------------------------------------------

void Ui::press(const Key& key) {
  if (is_typing_) return press_in_filter(key);
  switch (key.kind) {
    case Key::Kind::up:
      return move(-1);
    case Key::Kind::down:
      return move(1);
    case Key::Kind::page_up:
      return move(-page_rows_);
    case Key::Kind::page_down:
      return move(page_rows_);
    case Key::Kind::home:
      return move(PTRDIFF_MIN / 2);
    case Key::Kind::end:
      return move(PTRDIFF_MAX / 2);
    case Key::Kind::escape:
    case Key::Kind::backspace:
      return go_back();
    case Key::Kind::enter:
      if (page_ == Page::help) return go_back();
      if (page_ == Page::guest || selected_.empty()) return;
      opened_ = selected_;
      scrolled_ = 0;
      page_ = Page::guest;
      return;
    case Key::Kind::character:
      return press_letter(key.character);
  }
}

void Ui::press_letter(char32_t letter) {
  switch (letter) {
    case 'q':
      if (page_ == Page::list || (page_ == Page::guest && only_one_)) quit_ = true;
      return go_back();
    case 'k':
      return move(-1);
    case 'j':
      return move(1);
    case ' ':
      paused_ = !paused_;
      return;
    case '+':
      return change_interval(true);
    case '-':
      return change_interval(false);
    case '?':
    case 'h':
      if (page_ == Page::help) return go_back();
      before_help_ = std::exchange(page_, Page::help);
      scrolled_ = 0;
      return;
    default:
      break;
  }
  if (page_ != Page::list) return;
  if (letter == '/') {
    is_typing_ = true;
    filter_before_ = filter_;
  }
  for (const ColumnInfo& column : columns) {
    if (letter == static_cast<char32_t>(column.key)) order_.choose(column.column);
  }
}

void Ui::press_in_filter(const Key& key) {
  switch (key.kind) {
    case Key::Kind::enter:
      is_typing_ = false;
      return;
    case Key::Kind::escape:
      is_typing_ = false;
      filter_ = filter_before_;
      return;
    case Key::Kind::backspace:
      if (filter_.empty()) is_typing_ = false;
      while (!filter_.empty()) {
        const auto last = static_cast<unsigned char>(filter_.back());
        filter_.pop_back();
        if ((last & 0xC0U) != 0x80) break;  // the first byte of a character
      }
      return;
    case Key::Kind::character:
      if (key.character >= ' ' && filter_.size() < 100) filter_ += text_of(key.character);
      return;
    default:
      return move(key.kind == Key::Kind::up ? -1 : key.kind == Key::Kind::down ? 1 : 0);
  }
}

void Ui::go_back() {
  if (page_ == Page::help) {
    page_ = before_help_;
  } else if (page_ == Page::guest && !only_one_) {
    page_ = Page::list;
  } else if (page_ == Page::list) {
    filter_.clear();
  }
  scrolled_ = 0;
}

void Ui::move(std::ptrdiff_t lines) {
  if (page_ != Page::list) {
    scrolled_ = std::clamp<std::ptrdiff_t>(scrolled_ + lines, 0, PTRDIFF_MAX / 4);
    return;
  }
  if (shown_.empty()) return;
  const auto last = static_cast<std::ptrdiff_t>(shown_.size()) - 1;
  index_ = static_cast<std::size_t>(
      std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(index_) + lines, 0, last));
  selected_ = shown_[index_];
  is_following_ = index_ > 0;
}

void Ui::change_interval(bool longer) {
  if (longer) {
    const auto* const next = std::ranges::upper_bound(intervals, interval_);
    if (next != intervals.end()) interval_ = *next;
  } else {
    const auto* const same = std::ranges::lower_bound(intervals, interval_);
    if (same != intervals.begin()) interval_ = *std::prev(same);
  }
}

// ---- pages --------------------------------------------------------------------------------------

std::vector<Line> Ui::draw(const std::vector<const Watched*>& guests, const Size& size,
                           const std::string& clock) {
  std::vector<Line> lines = page_ == Page::list    ? draw_list(guests, size)
                            : page_ == Page::guest ? draw_guest(guests, size)
                                                   : draw_help(size);
  lines.front() = right_of_title(std::move(lines.front()), size.columns, clock);
  lines.resize(static_cast<std::size_t>(std::max(size.rows, 1)));
  return lines;
}

Line Ui::right_of_title(Line title, int width, const std::string& clock) const {
  Line right;
  if (paused_) {
    right.add("paused", Style::fair);
  } else {
    right.add("every " + interval_text(interval_), Style::faint);
  }
  right.add("  " + clock);
  // The interval is less important than the title.
  if (title.width() + 2 + right.width() > width) right = Line().add(clock);
  if (title.width() + 2 + right.width() > width) {
    if (!paused_) return title.limit(width);
    right = Line().add("paused", Style::fair);
    title.limit(std::max(width - right.width() - 1, 0));
  }
  return title.fill(width - right.width()).add(right).limit(width);
}

std::vector<Line> Ui::draw_list(const std::vector<const Watched*>& guests, const Size& size) {
  std::vector<Row> rows;
  for (const Watched* guest : guests) {
    if (matches(guest->row, filter_)) rows.push_back(guest->row);
  }
  sort(rows, order_);

  shown_.clear();
  for (const Row& row : rows) shown_.push_back(row.name);
  // The cursor stays on its guest, and where that is gone on its line.
  const auto same = std::ranges::find(shown_, selected_);
  if (is_following_ && same != shown_.end()) {
    index_ = static_cast<std::size_t>(same - shown_.begin());
  } else {
    index_ = rows.empty() ? 0 : std::min(index_, rows.size() - 1);
  }
  selected_ = rows.empty() ? "" : shown_[index_];

  const auto count = static_cast<std::size_t>(std::max(size.rows - 3, 1));
  page_rows_ = static_cast<std::ptrdiff_t>(count);
  first_ = std::min(first_, rows.size() > count ? rows.size() - count : 0);
  first_ = std::clamp(first_, index_ - std::min(index_, count - 1), index_);

  Line title;
  title.add(std::to_string(guests.size()) + (guests.size() == 1 ? " guest" : " guests"),
            Style::strong);
  add_states(title, guests);
  if (!filter_.empty() && !is_typing_) {
    title.add("  /" + screen_text(filter_), Style::key);
    title.add(" " + std::to_string(rows.size()), Style::key);
  }
  std::vector<Line> lines{title, list_heading(rows, order_, size.columns)};
  for (Line& line : list_lines(rows, first_, count, index_, size.columns)) {
    lines.push_back(std::move(line));
  }
  if (rows.empty()) {
    lines.push_back(
        Line()
            .add(filter_.empty() ? "There is no guest." : "No name has this in it.", Style::faint)
            .limit(size.columns));
  }
  lines.resize(static_cast<std::size_t>(std::max(size.rows - 1, 1)));
  if (is_typing_) {
    lines.push_back(Line()
                        .add(" name has: ", Style::faint)
                        .add(screen_text(filter_), Style::strong)
                        .add("_", Style::key)
                        .add("   Enter keeps it, Esc does not", Style::faint)
                        .limit(size.columns));
  } else {
    lines.push_back(footer({{"q", "quit"},
                            {"?", "help"},
                            {"Enter", "open"},
                            {"/", "filter"},
                            {"nsclmrwiofa", "sort"},
                            {"Space", paused_ ? "go on" : "pause"},
                            {"+ -", "interval"}},
                           size.columns));
  }
  return lines;
}

std::vector<Line> Ui::draw_guest(const std::vector<const Watched*>& guests, const Size& size) {
  const Watched* guest = nullptr;
  for (const Watched* one : guests) {
    if (only_one_ || one->row.name == opened_) guest = one;
  }
  Line title;
  title.add(screen_text(guest != nullptr ? guest->row.name : opened_), Style::strong);
  std::vector<Line> body;
  if (guest == nullptr) {
    body.push_back(Line().add("The socket of this guest is not there any more.", Style::fair));
  } else {
    title.limit(std::max(size.columns / 2, 8));
    title.add("  " + state_text(guest->row),
              guest->row.state == GuestState::ready ? Style::good : Style::fair);
    if (!guest->row.version.empty()) {
      title.add("  agent " + screen_text(guest->row.version), Style::faint);
    }
    if (guest->look && guest->look->sample.load && guest->row.state == GuestState::ready) {
      title.add("  load " + load_text(*guest->look->sample.load));
    }
    body = guest_lines(*guest, size.columns);
  }
  std::vector<Line> lines{title};
  if (size.rows > 10) lines.emplace_back();
  for (Line& line : part_of(std::move(body), size.rows - static_cast<int>(lines.size()) - 1)) {
    lines.push_back(std::move(line));
  }
  lines.resize(static_cast<std::size_t>(std::max(size.rows - 1, 1)));
  lines.push_back(footer({{only_one_ ? "q" : "Esc", only_one_ ? "quit" : "back"},
                          {"?", "help"},
                          {"↑ ↓", scroll_text()},
                          {"Space", paused_ ? "go on" : "pause"},
                          {"+ -", "interval"}},
                         size.columns));
  return lines;
}

std::vector<Line> Ui::draw_help(const Size& size) {
  std::vector<Line> lines{Line().add("Help", Style::strong)};
  for (Line& line : part_of(help_lines(size.columns), size.rows - 2)) {
    lines.push_back(std::move(line));
  }
  lines.resize(static_cast<std::size_t>(std::max(size.rows - 1, 1)));
  lines.push_back(footer({{"Esc", "back"}, {"↑ ↓", scroll_text()}}, size.columns));
  return lines;
}

std::string Ui::scroll_text() const {
  return below_ == 0 ? "scroll" : "scroll: " + std::to_string(below_) + " more";
}

std::vector<Line> Ui::part_of(std::vector<Line> lines, int rows) {
  const std::ptrdiff_t count = std::max(rows, 1);
  page_rows_ = count;
  const auto all = static_cast<std::ptrdiff_t>(lines.size());
  scrolled_ = std::clamp<std::ptrdiff_t>(scrolled_, 0, std::max<std::ptrdiff_t>(all - count, 0));
  const auto first = lines.begin() + scrolled_;
  below_ = std::max<std::ptrdiff_t>(all - count - scrolled_, 0);
  std::vector<Line> part(std::make_move_iterator(first),
                         std::make_move_iterator(first + std::min(count, all - scrolled_)));
  return part;
}

}  // namespace qga_tool::top
