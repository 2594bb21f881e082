// SPDX-License-Identifier: LGPL-3.0-or-later
//
// What the screen of top says of guests, in which order, and what its keys do: without a terminal.
#include "../../examples/qga/top/line.hpp"
#include "../../examples/qga/top/list_view.hpp"
#include "../../examples/qga/top/row.hpp"
#include "../../examples/qga/top/ui.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace {

namespace top_model {

using namespace std::chrono_literals;
namespace top = qga_tool::top;
using qga_tool::GuestState;
using top::Column;
using top::Key;
using top::Line;
using top::Order;
using top::Row;
using top::Ui;

std::string sorted_names(std::vector<Row> rows, const Order& order) {
  top::sort(rows, order);
  std::string names;
  for (const Row& row : rows) names += (names.empty() ? "" : " ") + row.name;
  return names;
}

std::string all_text(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) text += line.text() + '\n';
  return text;
}

bool says(const std::vector<Line>& lines, std::string_view text) {
  return all_text(lines).find(text) != std::string::npos;
}

bool contains_all(const std::vector<Line>& lines, const std::vector<std::string_view>& texts) {
  return std::ranges::all_of(texts, [&](std::string_view text) { return says(lines, text); });
}

/// A guest that is busy, or whatever it says.
top::Watched guest_called(const std::string& name, double cpu = 0.5) {
  top::Watched guest{.guest = {name, "/run/" + name + ".sock"}};
  guest.look.emplace();
  guest.look->state = GuestState::ready;
  guest.look->version = "7.2.22";
  guest.look->memory = qga_tool::Memory{1 << 30, 1 << 28};
  guest.look->missing = {"guest-get-load"};
  guest.look->file_systems.emplace();
  guest.look->file_systems->push_back({.name = "vda1",
                                       .mountpoint = "/",
                                       .type = "ext4",
                                       .used_bytes = 3 << 20,
                                       .total_bytes = 4 << 20,
                                       .total_bytes_privileged = {},
                                       .disk = {}});
  guest.usage.emplace();
  guest.usage->cpus.push_back({.cpu = 0, .busy = cpu, .user = cpu});
  guest.usage->disks.push_back({.name = "vda", .read_bytes = 4096});
  guest.usage->interfaces.push_back({.name = "eth0", .received_bytes = 1e6});
  guest.row = top::row_of(name, *guest.look, guest.usage);
  return guest;
}

/// A screen with guests, on which keys are pressed.
class Pressed {
 public:
  explicit Pressed(std::vector<top::Watched> guests, bool only_one = false)
      : guests_(std::move(guests)), ui(only_one, 2s) {
    draw();
  }

  std::vector<Line> draw(int rows = 24, int columns = 80) {
    std::vector<const top::Watched*> all;
    for (const top::Watched& guest : guests_) all.push_back(&guest);
    return ui.draw(all, {rows, columns}, "12:34:56");
  }
  /// What is shown after some keys that write characters.
  std::vector<Line> type(std::u32string_view keys) {
    std::vector<Line> lines;
    for (const char32_t key : keys) {
      ui.press({Key::Kind::character, key});
      lines = draw();
    }
    return lines;
  }
  std::vector<Line> press(Key::Kind kind) {
    ui.press({kind});
    return draw();
  }
  /// The text of the line that the cursor is on.
  std::string selected() {
    for (const Line& line : draw()) {
      for (const top::Span& span : line.spans()) {
        if (span.style == top::Style::selected) return span.text;
      }
    }
    return "";
  }

 private:
  std::vector<top::Watched> guests_;

 public:
  Ui ui;
};

}  // namespace top_model

}  // namespace

TEST_CASE("top's numbers fit into their columns") {
  using namespace top_model;
  const std::vector<std::pair<double, std::string>> shares{
      {0, "0.0%"},     {0.001, "0.1%"}, {0.0994, "9.9%"}, {0.0996, "10%"},
      {0.996, "100%"}, {1, "100%"},     {7, "700%"},      {-1, "0.0%"}};
  for (const auto& [share, text] : shares) CHECK(top::short_share(share) == text);
  const std::vector<std::pair<double, std::string>> sizes{
      {0, "0B"},       {999, "999B"},          {1000, "1.0K"},
      {1536, "1.5K"},  {102400, "100K"},       {1 << 20, "1.0M"},
      {1e30, ">999E"}, {1e308, ">999E"},       {999.4, "999B"},
      {999.6, "1.0K"}, {99.96 * 1024, "100K"}, {std::numeric_limits<double>::infinity(), ">999E"}};
  for (const auto& [size, text] : sizes) CHECK(top::short_size(size) == text);
}

TEST_CASE("top measures and cuts text by its width") {
  using namespace top_model;
  CHECK(top::width_of("abc") == 3);
  CHECK(top::width_of("日本") == 4);
  CHECK(top::width_of("e\u0301") == 1);
  struct Cut {
    std::string text;
    int width;
    std::string left;
    std::string right;
  };
  const std::vector<Cut> cuts{{"abc", 5, "abc  ", "  abc"},
                              {"abc", 3, "abc", "abc"},
                              {"abcd", 3, "ab…", "ab…"},
                              {"abcd", 1, "…", "…"},
                              {"abcd", 0, "", ""},
                              {"", 2, "  ", "  "},
                              {"日本語", 5, "日本…", "日本…"},
                              {"日本語", 4, "日… ", " 日…"},
                              {"日本", 1, "…", "…"},
                              {"abc", -1, "", ""}};
  for (const Cut& one : cuts) {
    CHECK(top::fit(one.text, one.width) == one.left);
    CHECK(top::fit_right(one.text, one.width) == one.right);
  }
}

TEST_CASE("top makes a guest's text harmless") {
  using namespace top_model;
  CHECK(top::screen_text("\x1b[2J\n") == "\\x1b[2J\\x0a");
  CHECK(top::screen_text("אב 1") == "\\u05d0\\u05d1 1");
  CHECK(top::screen_text("\u202Eabc") == "\\u202eabc");
  std::string marks = "a";
  for (int i = 0; i < 1000; ++i) marks += "\u0301";
  CHECK(top::screen_text(marks).size() < 10);
  CHECK(top::screen_text(std::string(10'000, 'x')).size() < 3000);
  CHECK(top::screen_text("日本語") == "日本語");
}

TEST_CASE("a bar is as long as its share, whatever that is") {
  using namespace top_model;
  const std::vector<std::pair<double, std::string>> bars{
      {0, "····"},  {0.5, "██··"},   {1, "████"},    {2, "████"},
      {-1, "····"}, {0.125, "▌···"}, {0.99, "████"}, {1e300, "████"}};
  for (const auto& [share, text] : bars) {
    Line line;
    top::add_bar(line, share, 4);
    CHECK(line.text() == text);
  }
}

TEST_CASE("a row sums up disks and interfaces, each byte once") {
  using namespace top_model;
  qga_tool::Look look;
  look.state = GuestState::ready;
  qga::Usage usage;
  usage.cpus = {{.cpu = 0, .busy = 0.2}, {.cpu = 1, .busy = 0.6}};
  for (const char* name : {"vda", "vda1", "vda15", "nvme0n1", "nvme0n1p2", "nvme0n10", "dm-0",
                           "md0", "loop3", "zram0", "sda1"}) {
    usage.disks.push_back({.name = name, .read_bytes = 1, .written_bytes = 10});
  }
  for (const char* name : {"lo", "eth0", "eth1"}) {
    usage.interfaces.push_back({.name = name, .received_bytes = 5, .sent_bytes = 7});
  }
  look.memory = qga_tool::Memory{1000, 250};
  look.file_systems.emplace();
  const auto add = [&look](const char* mount, const char* type, std::optional<std::uint64_t> used,
                           std::optional<std::uint64_t> total) {
    look.file_systems->push_back({.name = "vda",
                                  .mountpoint = mount,
                                  .type = type,
                                  .used_bytes = used,
                                  .total_bytes = total,
                                  .total_bytes_privileged = {},
                                  .disk = {}});
  };
  add("/", "ext4", 50, 100);
  add("/full", "ext4", 90, 100);
  add("/image", "squashfs", 100, 100);
  add("/unknown", "ext4", {}, {});
  add("/nothing", "ext4", 5, 0);
  const Row row = top::row_of("vm", look, usage);
  CHECK(row.cpu.value() == Approx(0.4));
  CHECK(row.read.value() == 4);  // vda, nvme0n1, nvme0n10, and sda1 whose disk is not listed
  CHECK(row.written.value() == 40);
  CHECK(row.received.value() == 10);
  CHECK(row.sent.value() == 14);
  CHECK(row.memory.value() == 0.75);
  CHECK(row.fullest.value().mountpoint == "/full");
  CHECK_FALSE(row.load.has_value());

  const Row first = top::row_of("vm", look, {});
  CHECK_FALSE(first.cpu.has_value());
  CHECK_FALSE(first.read.has_value());
  CHECK(first.memory.has_value());

  look.memory = qga_tool::Memory{10, 20};
  look.state = GuestState::frozen;
  CHECK_FALSE(top::row_of("vm", look, usage).cpu.has_value());
  CHECK_FALSE(top::used_share(*look.memory).has_value());
}

TEST_CASE("guests are sorted by a column, those that do not tell come last") {
  using namespace top_model;
  std::vector<Row> rows{{.name = "vm10", .state = GuestState::ready, .cpu = 0.5, .version = "8.2"},
                        {.name = "vm9", .state = GuestState::silent},
                        {.name = "vm1", .state = GuestState::ready, .cpu = 0.9, .version = "10.0"},
                        {.name = "vm02", .state = GuestState::frozen, .cpu = 0.5}};
  rows[0].fullest = {"/", 0.1};
  rows[2].fullest = {"/a", 0.2};
  const std::vector<std::pair<Order, std::string>> orders{
      {{Column::name, false}, "vm1 vm02 vm9 vm10"},
      {{Column::name, true}, "vm10 vm9 vm02 vm1"},
      {{Column::cpu, true}, "vm1 vm02 vm10 vm9"},
      {{Column::cpu, false}, "vm02 vm10 vm1 vm9"},
      {{Column::agent, false}, "vm10 vm1 vm02 vm9"},
      {{Column::agent, true}, "vm1 vm10 vm02 vm9"},
      {{Column::fullest, true}, "vm1 vm10 vm02 vm9"},
      {{Column::load, true}, "vm1 vm02 vm9 vm10"},
      {{Column::state, true}, "vm9 vm02 vm1 vm10"},
      {{Column::state, false}, "vm1 vm10 vm02 vm9"}};
  for (const auto& [order, names] : orders) CHECK(sorted_names(rows, order) == names);

  Order order;
  CHECK((order.by == Column::cpu && order.descending));
  order.choose(Column::memory);
  CHECK((order.by == Column::memory && order.descending));
  order.choose(Column::memory);
  CHECK_FALSE(order.descending);
  order.choose(Column::name);
  CHECK((order.by == Column::name && !order.descending));

  CHECK(top::matches(rows[0], ""));
  CHECK(top::matches(rows[0], "M1"));
  CHECK_FALSE(top::matches(rows[0], "web"));
}

TEST_CASE("a narrow list has the most important columns") {
  using namespace top_model;
  const top::Watched guest = guest_called("a-guest-with-a-long-name");
  const std::vector<Row> rows{guest.row};
  const std::vector<std::pair<int, std::string>> headings{
      {20, "NAME STATE CPU▼"},
      {30, "NAME STATE CPU▼ MEM"},
      {44, "NAME STATE CPU▼ MEM READ WRITE FULL"},
      {70, "NAME STATE CPU▼ MEM READ WRITE IN OUT FULL"},
      {80, "NAME STATE CPU▼ LOAD MEM READ WRITE IN OUT FULL"},
      {200, "NAME STATE CPU▼ LOAD MEM READ WRITE IN OUT FULL AGENT"}};
  for (const auto& [width, expected] : headings) {
    std::string words;
    for (const char c : top::list_heading(rows, Order(), width).text()) {
      if (c != ' ' || (!words.empty() && words.back() != ' ')) words += c;
    }
    if (words.ends_with(' ')) words.pop_back();
    CHECK(words == expected);
  }
}

TEST_CASE("no line of top is wider than the screen, and none is missing") {
  using namespace top_model;
  std::vector<top::Watched> guests{guest_called("vm1"), guest_called("日本語の名前のゲスト", 1e9),
                                   guest_called(std::string(10'000, 'w'))};
  guests[1].usage->disks.front().name = std::string(10'000, '\x1b');
  guests[1].usage->interfaces.front().name = "e\u0301\u0301\u0301\u0301 אבג";
  guests[1].look->file_systems->front().mountpoint = "/日本語/\n\x9b/" + std::string(10'000, 'm');
  for (int i = 0; i < 70; ++i) guests[1].usage->cpus.push_back({.cpu = i, .busy = 1, .steal = 5});
  guests[1].row = top::row_of("日本語の名前のゲスト", *guests[1].look, guests[1].usage);
  guests.push_back({.guest = {"silent", ""}});
  guests.back().row.name = "silent";
  guests.back().row.state = GuestState::silent;
  guests.back().row.error = std::string(5000, 'e');

  for (const char32_t page : {U'n', U'?'}) {
    for (const bool opened : {false, true}) {
      Pressed screen(guests);
      screen.type(U"n");
      if (opened) screen.press(Key::Kind::end);
      if (opened) screen.press(Key::Kind::enter);
      screen.type(std::u32string(1, page));
      for (int width = 1; width <= 300; width = width < 20 ? width + 1 : width + 7) {
        for (const int height : {1, 2, 3, 5, 11, 24, 100}) {
          const std::vector<Line> lines = screen.draw(height, width);
          CHECK(lines.size() == static_cast<std::size_t>(height));
          for (const Line& line : lines) {
            if (line.width() > width) FAIL(width << "x" << height << ": " << line.text());
          }
        }
      }
    }
  }
}

TEST_CASE("the keys of top sort, move, filter and open") {
  using namespace top_model;
  Pressed screen({guest_called("web-1", 0.1), guest_called("web-2", 0.9), guest_called("db", 0.5)});
  CHECK(screen.selected().starts_with("web-2"));
  screen.type(U"n");
  CHECK(says(screen.draw(), "NAME▲"));
  CHECK(screen.selected().starts_with("db"));  // the cursor is on the first line until it is moved
  screen.type(U"j");
  CHECK(screen.selected().starts_with("web-1"));
  CHECK(says(screen.type(U"n"), "NAME▼"));
  CHECK(screen.selected().starts_with("web-1"));  // now it stays on its guest
  screen.press(Key::Kind::end);
  CHECK(screen.selected().starts_with("db"));
  screen.press(Key::Kind::page_up);
  CHECK(screen.selected().starts_with("web-2"));
  screen.press(Key::Kind::up);
  CHECK(screen.selected().starts_with("web-2"));

  CHECK(says(screen.type(U"/WEB-1"), "name has: WEB-1_"));
  CHECK(screen.selected().starts_with("web-1"));
  CHECK_FALSE(says(screen.draw(), "web-2"));
  CHECK(says(screen.press(Key::Kind::enter), "/WEB-1 1"));
  CHECK(says(screen.type(U"/é"), "No name has this in it."));
  CHECK(says(screen.press(Key::Kind::backspace), "name has: WEB-1_"));
  CHECK(says(screen.press(Key::Kind::escape), "/WEB-1 1"));
  CHECK(says(screen.press(Key::Kind::escape), "web-2"));

  screen.press(Key::Kind::home);
  CHECK(says(screen.press(Key::Kind::enter), "INTERFACE"));
  CHECK(says(screen.draw(), "web-2  ready  agent 7.2.22"));
  CHECK(says(screen.draw(), "refused guest-get-load"));
  CHECK(says(screen.type(U"?"), "KEYS"));
  CHECK(says(screen.type(U"q"), "INTERFACE"));
  CHECK(says(screen.type(U"q"), "3 guests  3 ready"));
  CHECK_FALSE(screen.ui.has_quit());
  screen.type(U"q");
  CHECK(screen.ui.has_quit());
}

TEST_CASE("a page that is longer than the screen can be scrolled") {
  using namespace top_model;
  top::Watched guest = guest_called("vm");
  for (int i = 0; i < 30; ++i) {
    guest.usage->interfaces.push_back({.name = "eth" + std::to_string(i + 1)});
  }
  Pressed screen({guest}, true);
  CHECK(contains_all(screen.draw(), {"CPU 0", "scroll: ", " more"}));
  screen.press(Key::Kind::end);
  CHECK(contains_all(screen.draw(), {"eth30", "refused"}));
  CHECK_FALSE(says(screen.draw(), " more"));
  screen.press(Key::Kind::up);
  CHECK(says(screen.draw(), "scroll: 1 more"));
  screen.press(Key::Kind::home);
  CHECK(says(screen.draw(), "CPU 0"));
}

TEST_CASE("the keys of top pause it, and change the interval") {
  using namespace top_model;
  Pressed screen({guest_called("web-1")}, true);
  CHECK(says(screen.draw(), "every 2 s  12:34:56"));
  CHECK(says(screen.type(U" "), "paused"));
  CHECK(screen.ui.is_paused());
  CHECK(says(screen.type(U" +"), "every 3 s"));
  CHECK(says(screen.type(U"----------"), "every 0.5 s"));
  CHECK(says(screen.type(U"++++++++++++"), "every 60 s"));
  CHECK(screen.ui.interval() == 60s);
  screen.press(Key::Kind::escape);  // there is no other page to go back to
  CHECK_FALSE(screen.ui.has_quit());
  screen.type(U"q");
  CHECK(screen.ui.has_quit());
}

TEST_CASE("top says why there are no figures") {
  using namespace top_model;
  top::Watched guest{.guest = {"vm", "/vm.sock"}, .row = {.name = "vm"}};
  CHECK(says(Pressed({guest}, true).draw(), "has not answered yet"));
  CHECK(says(Pressed({guest}).draw(), "asking"));
  guest.look.emplace();
  guest.look->state = GuestState::no_socket;
  guest.look->error = "cannot connect";
  guest.row = top::row_of("vm", *guest.look, {});
  CHECK(says(Pressed({guest}, true).draw(), "cannot connect"));
  CHECK(says(Pressed({guest}).draw(), "no channel  cannot connect"));
  guest.row.gone = true;
  CHECK(says(Pressed({guest}, true).draw(), "not there any more"));
  CHECK(says(Pressed({guest}).draw(), " gone"));
  CHECK(says(Pressed({}).draw(), "There is no guest."));

  top::Watched first = guest_called("vm");
  first.usage.reset();
  first.row = top::row_of("vm", *first.look, {});
  CHECK(says(Pressed({first}, true).draw(), "Rates come with the second sample"));
  CHECK(says(Pressed({first}).draw(), "    - "));
}
