// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Watches a guest by asynchronous calls. The state outlives the watch while calls are under way.
#include "watch.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/post.hpp>

#include "failure.hpp"
#include "print.hpp"

namespace qga_tool {

namespace {

using namespace std::chrono_literals;

/// The reply of a guest may have this size. It bounds the number of elements, too: one for every
/// 200 bytes.
constexpr std::size_t longest_reply = 1 << 20;
/// What is read of /proc/meminfo. It is more than there is, because the agent's C library reads
/// again only what it has not read in one piece.
constexpr std::int64_t longest_meminfo = 64 << 10;

constexpr std::string_view status_command = qga::GuestFsfreezeStatusRequest::command;
constexpr std::string_view open_command = qga::GuestFileOpenRequest::command;
constexpr std::string_view read_command = qga::GuestFileReadRequest::command;
constexpr std::string_view seek_command = qga::GuestFileSeekRequest::command;
constexpr std::string_view load_command = qga::GuestGetLoadRequest::command;
/// The commands of a look, without those for the memory.
constexpr std::array<std::string_view, 5> look_commands{
    load_command, qga::GuestGetCpustatsRequest::command, qga::GuestGetDiskstatsRequest::command,
    qga::GuestNetworkGetInterfacesRequest::command, qga::GuestGetFsinfoRequest::command};

bool is_of_agent(const std::exception_ptr& error) { return has_code(error, qga::err_from_agent); }

bool is_bad_reply(const std::exception_ptr& error) { return has_code(error, qga::err_bad_reply); }

}  // namespace

std::string_view state_name(GuestState state) {
  switch (state) {
    case GuestState::ready:
      return "ready";
    case GuestState::frozen:
      return "frozen";
    case GuestState::silent:
      return "silent";
    default:
      return "no-socket";
  }
}

std::optional<Memory> memory_in(const std::string& meminfo) {
  std::optional<std::uint64_t> total;
  std::optional<std::uint64_t> available;
  std::istringstream text(meminfo);
  for (std::string name; text >> name; std::getline(text, name)) {
    std::uint64_t kib = 0;
    if ((name == "MemTotal:" || name == "MemAvailable:") && text >> kib) {
      (name == "MemTotal:" ? total : available) = kib;
    }
    text.clear();
  }
  constexpr std::uint64_t kib = 1024;
  if (!total || !available || *total < *available || *total > UINT64_MAX / kib) return {};
  return Memory{*total * kib, *available * kib};
}

bool is_counted(const qga::GuestFilesystemInfo& fs) {
  constexpr std::array<std::string_view, 6> others{"squashfs", "iso9660", "udf",
                                                   "overlay",  "erofs",   "tmpfs"};
  return fs.total_bytes && fs.used_bytes && !fs.name.starts_with("loop") &&
         std::ranges::find(others, fs.type) == others.end();
}

/// What is known of an agent since it was first asked on a connection. It is not in the anonymous
/// namespace, because a member of a class with linkage has this type.
struct Contact {
  std::string version;
  bool has_list = false;  ///< whether it has told which commands are enabled
  std::set<std::string, std::less<>> enabled;
  std::set<std::string_view> refused;

  qga::File meminfo;
  bool meminfo_at_start = true;
  std::optional<Memory> memory;

  bool may_ask(std::string_view command) const {
    return (!has_list || enabled.contains(command)) && !refused.contains(command);
  }
  bool may_read_files() const {
    return has_list && may_ask(open_command) && may_ask(read_command) && may_ask(seek_command);
  }
};

class Watch::State : public std::enable_shared_from_this<State> {
  /// Makes a handler that keeps this alive, and is not called once the watch has ended.
  template <class Function>
  auto handler(Function function) {
    return asio::bind_executor(
        context_.get_executor(),
        [self = shared_from_this(), function = std::move(function)](auto&&... result) mutable {
          if (!self->ended_) function(std::forward<decltype(result)>(result)...);
        });
  }

 public:
  State(asio::io_context& context, GuestName guest, qga::ClientParams params)
      : guest_(std::move(guest)),
        context_(context),
        timeout_(params.timeout.value_or(qga::default_timeout)) {
    params.defer_connect = true;
    params.max_reply_size = longest_reply;
    try {
      client_.emplace(qga::connect(guest_.address, std::move(params)));
    } catch (const qga::ConnectError& error) {
      wrong_address_ = error.what();
    }
  }

  const GuestName& guest() const { return guest_; }
  const auto& last_thawed() const { return last_thawed_; }

  void look(std::function<void(Look)> done) {
    done_ = std::move(done);
    look_ = Look();
    begun_ = qga::Clock::now();
    options_.deadline = qga::deadline_after(timeout_, begun_);
    frozen_answers_ = answers_ = 0;
    if (!client_) {
      look_.error = wrong_address_;
      asio::post(context_, [self = shared_from_this()] { self->finish(); });
      return;
    }
    if (client_->is_open()) return begin();
    contact_.reset();
    frozen_ = false;
    client_->async_reconnect(handler([this](const std::exception_ptr& error) {
                               if (!error) return begin();
                               look_.error = text_of(error);
                               finish();
                             }),
                             options_);
  }

  void end() {
    ended_ = true;
    done_ = nullptr;
    if (client_) client_->close();
  }

 private:
  /// The guest is connected.
  void begin() {
    if (frozen_) return ask_status(true);
    (contact_ && !doubtful_) ? ask_all(true) : meet(true);
  }

  // ---- first contact ---------------------------------------------------------------------------

  void meet(bool with_memory) {
    client_->async_execute(
        qga::GuestInfoRequest(),
        handler([this, with_memory](const std::exception_ptr& error, qga::GuestAgentInfo info) {
          if (error && !concerns_one_request(error)) return fail(error);
          doubtful_ = false;
          contact_.emplace();  // what was open is closed
          contact_->has_list = !error;
          contact_->version = std::move(info.version);
          for (auto& command : info.supported_commands) {
            if (command.enabled) contact_->enabled.insert(std::move(command.name));
          }
          const auto may_ask = [this](std::string_view command) {
            return contact_->may_ask(command);
          };
          // A frozen agent lists as disabled what it would do otherwise.
          if (std::ranges::none_of(look_commands, may_ask) && with_memory) {
            return ask_status(false);
          }
          with_memory && contact_->may_read_files() ? open_meminfo() : ask_all(with_memory);
        }),
        options_);
  }

  void open_meminfo() {
    client_
        ->async(handler([this](const std::exception_ptr& error, qga::File file) {
                  if (error && !concerns_one_request(error)) return fail(error);
                  contact_->meminfo = std::move(file);
                  ask_all(true);
                }),
                options_)
        .open("/proc/meminfo");
  }

  // ---- a look ----------------------------------------------------------------------------------

  void ask_status(bool then_all) {
    client_->async_execute(
        qga::GuestFsfreezeStatusRequest(),
        handler([this, then_all](const std::exception_ptr& error, qga::GuestFsfreezeStatus status) {
          if (error && !concerns_one_request(error)) return fail(error);
          if (error && contact_) contact_->refused.insert(status_command);
          frozen_ = status == qga::GuestFsfreezeStatus::frozen && !error;
          if (frozen_) {
            // What it lists while it is frozen does not hold after that.
            if (!then_all) doubtful_ = true;
            look_.state = GuestState::frozen;
            look_.error = "frozen";
            return finish();
          }
          look_.state = GuestState::ready;
          if (!then_all) return finish();
          if (!contact_ || doubtful_) return meet(false);
          contact_->refused.clear();
          if (error) contact_->refused.insert(status_command);
          ask_all(false);
        }),
        options_);
  }

  /// Asks all that the guest may answer, together.
  void ask_all(bool with_memory) {
    look_.state = GuestState::ready;
    unanswered_ = 1;  // the end of this function
    qga::Sample& sample = look_.sample;
    ask(qga::GuestGetLoadRequest(), sample.load);
    ask(qga::GuestGetCpustatsRequest(), sample.cpus);
    ask(qga::GuestGetDiskstatsRequest(), sample.disks);
    ask(qga::GuestNetworkGetInterfacesRequest(), sample.interfaces);
    if (with_memory && contact_->meminfo.is_open()) ask_memory();
    // The last, because a guest may wait for a server of files.
    ask(qga::GuestGetFsinfoRequest(), look_.file_systems);
    if (unanswered_ == 1 && with_memory) return ask_status(false);
    answered();
  }

  template <class Request>
  void ask(const Request& request, std::optional<typename Request::Reply>& part) {
    if (!contact_->may_ask(Request::command)) return;
    send(request, [this, &part](const std::exception_ptr& error, typename Request::Reply reply) {
      if (!error) {
        part = std::move(reply);
      } else if (is_of_agent(error)) {
        newly_refused_.insert(Request::command);
      }
    });
  }

  /// Reads the memory. Where there is a load to ask for, too, it only reads or seeks at a time.
  void ask_memory() {
    const bool both = !contact_->may_ask(load_command);
    if (!contact_->meminfo_at_start) {
      send(qga::GuestFileSeekRequest(contact_->meminfo.handle(), 0, qga::QGASeek::set),
           [this](const std::exception_ptr& error, const qga::GuestFileSeek&) {
             error ? lose_memory(error) : void(contact_->meminfo_at_start = true);
           });
      if (!both) return;
    }
    send(qga::GuestFileReadRequest(contact_->meminfo.handle(), longest_meminfo),
         [this](const std::exception_ptr& error, const qga::GuestFileRead& reply) {
           contact_->meminfo_at_start = false;
           if (error) return lose_memory(error);
           contact_->memory = memory_in(reply.buf_b64);
         });
  }

  /// The agent may have been restarted, and the handle is that of the one before.
  void lose_memory(const std::exception_ptr& error) {
    if (!is_of_agent(error)) {
      contact_->memory.reset();
    } else if (contact_->memory) {
      newly_doubtful_ = true;
    } else {
      contact_->meminfo = {};
    }
  }

  template <class Request, class Store>
  void send(const Request& request, Store store) {
    ++unanswered_;
    client_->async_execute(
        request,
        handler([this, store](const std::exception_ptr& error, typename Request::Reply reply) {
          note(error);
          store(error, std::move(reply));
          answered();
        }),
        options_);
  }

  /// Counts an answer, and keeps the first error that is no answer.
  void note(const std::exception_ptr& error) {
    if (!error || is_of_agent(error)) {
      ++answers_;
      look_.time = qga::Clock::now();
      if (error && is_not_found(error)) ++frozen_answers_;
    } else if (!error_ || (is_bad_reply(error_) && !is_bad_reply(error))) {
      error_ = error;
    }
  }

  static bool is_not_found(const std::exception_ptr& error) {
    return dynamic_cast<const qga::CommandNotFoundError*>(qga::error_of(error)) != nullptr;
  }

  void answered() {
    if (--unanswered_ > 0) return;
    const std::exception_ptr error = std::exchange(error_, nullptr);
    auto refused = std::exchange(newly_refused_, {});
    doubtful_ = std::exchange(newly_doubtful_, false);
    if (error && (!is_bad_reply(error) || answers_ == 0)) return fail(error);
    // An agent that refuses all that it has listed is frozen. The next look asks whether it is.
    const bool all_refused = answers_ > 0 && frozen_answers_ == answers_ && !error;
    if (all_refused && contact_->has_list && contact_->may_ask(status_command)) {
      frozen_ = true;
      doubtful_ = false;
      look_.state = GuestState::frozen;
      look_.error = "frozen";
    } else {
      contact_->refused.merge(refused);
    }
    finish();
  }

  /// Nobody has answered in time, or the connection has ended.
  void fail(const std::exception_ptr& error) {
    const qga::GuestAgentError* const known = qga::error_of(error);
    const bool is_gone = !client_->is_open();
    look_.state = is_gone ? GuestState::no_socket : GuestState::silent;
    look_.error = text_of(error);
    // The guest may have been started again.
    doubtful_ = known != nullptr && known->is_unreachable();
    finish();
  }

  void finish() {
    const auto now = qga::Clock::now();
    look_.took = now - begun_;
    if (look_.time == qga::Clock::time_point()) look_.time = now;
    look_.sample.time = look_.time;
    if (contact_) look_.version = contact_->version;
    if (look_.state == GuestState::ready) {
      last_thawed_ = std::chrono::system_clock::now();
      look_.memory = contact_->memory;
      note_missing();
    }
    // The owner may begin another look, or destroy the watch.
    const auto done = std::exchange(done_, nullptr);
    if (done) done(std::exchange(look_, Look()));
  }

  void note_missing() {
    const std::array<bool, look_commands.size()> present{
        look_.sample.load.has_value(), look_.sample.cpus.has_value(),
        look_.sample.disks.has_value(), look_.sample.interfaces.has_value(),
        look_.file_systems.has_value()};
    for (std::size_t i = 0; i < present.size(); ++i) {
      if (!present[i]) look_.missing.emplace_back(look_commands[i]);
    }
    if (!contact_->meminfo.is_open()) look_.missing.emplace_back(open_command);
  }

  const GuestName guest_;
  asio::io_context& context_;
  const qga::Clock::duration timeout_;
  std::optional<qga::AnyClient> client_;
  std::string wrong_address_;
  bool ended_ = false;

  std::optional<Contact> contact_;
  bool doubtful_ = false;  ///< the contact may be that of another agent: it is made again
  bool frozen_ = false;
  std::optional<std::chrono::system_clock::time_point> last_thawed_;

  // Of the look that is under way.
  std::function<void(Look)> done_;
  Look look_;
  qga::Clock::time_point begun_;
  qga::CallOptions options_;
  int unanswered_ = 0;
  int answers_ = 0;
  int frozen_answers_ = 0;
  std::exception_ptr error_;
  std::set<std::string_view> newly_refused_;
  bool newly_doubtful_ = false;
};

Watch::Watch(asio::io_context& context, GuestName guest, qga::ClientParams params)
    : state_(std::make_shared<State>(context, std::move(guest), std::move(params))) {}
Watch::~Watch() { state_->end(); }

const GuestName& Watch::guest() const { return state_->guest(); }
void Watch::look(std::function<void(Look)> done) { state_->look(std::move(done)); }
std::optional<std::chrono::system_clock::time_point> Watch::last_thawed() const {
  return state_->last_thawed();
}

Look unwatched() {
  return {.error = "it is not watched: the limit of descriptors must be raised (ulimit -n)",
          .time = qga::Clock::now()};
}

void close_connections(Tool& tool) {
  tool.context.restart();
  tool.context.run_for(500ms);
}

}  // namespace qga_tool
