// SPDX-License-Identifier: LGPL-3.0-or-later
//
// A user's program, as tests/platforms.sh compiles it for every platform and runs it against a real
// agent: blocking calls, callbacks, a future and a coroutine. It checks what could differ between
// platforms: the order of bytes, the size of integers, waking a thread, sockets, files.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <version>

#include <unistd.h>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <qga/client.hpp>

namespace {

using namespace std::chrono_literals;

int failures = 0;
int passes = 0;

void check(bool holds, const char* what) {
  ++(holds ? passes : failures);
  if (!holds) std::cout << "failed: " << what << '\n';
}

/// Bytes of all values, also those above 127.
std::string some_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(static_cast<unsigned char>(state >> 24));
  }
  return bytes;
}

/// A directory that the agent, which is another user, may write into.
class SharedDirectory {
 public:
  SharedDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "qga-platform-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
    std::filesystem::permissions(path_, std::filesystem::perms::all);
  }
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;
  ~SharedDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

void call_blocking(qga::Client<>& ga) {
  check(!ga.info().version.empty(), "info");
  check(!ga.get_host_name().empty(), "get_host_name");
  const auto clocks_differ = ga.get_time() - std::chrono::system_clock::now();
  check(clocks_differ < 1h && clocks_differ > -1h, "get_time");
  check(ga.execute("guest-ping").is_object(), "a request by name");
  const auto result = ga.run("sh", {.args = {"-c", "cat; exit 7"}, .input = "some input"});
  check(result.exit_code == 7 && result.out == "some input", "run");
}

void transfer(qga::Client<>& ga) {
  const SharedDirectory directory;
  const std::string bytes = some_bytes(300'007);
  std::ofstream(directory.file("here"), std::ios::binary) << bytes;
  const auto sent = ga.upload(std::filesystem::path(directory.file("here")),
                              directory.file("there"), {.verify = true});
  check(sent.bytes == bytes.size() && sent.sha256.size() == 64, "upload, verified by sha256sum");
  ga.download(directory.file("there"), std::filesystem::path(directory.file("back")),
              {.verify = true});
  std::ostringstream back;
  back << std::ifstream(directory.file("back"), std::ios::binary).rdbuf();
  check(back.str() == bytes, "download");
}

void fail(qga::Client<>& ga) {
  try {
    ga.exec("/nowhere/to/be/found");
    check(false, "an error of the agent");
  } catch (const qga::AgentError& error) {
    check(error.outcome() == qga::Outcome::refused && !error.desc().empty(), "AgentError");
  }
  try {
    ga.with({.timeout = 50ms}).run("sleep", {.args = {"5"}, .kill = true});
    check(false, "a timeout");
  } catch (const qga::TimeoutError&) {
    check(true, "TimeoutError");
  }
  try {
    const qga::Client<> nobody("/nowhere/to/be/found.sock");
    check(false, "a refused connection");
  } catch (const qga::ConnectError& error) {
    check(error.err() == std::errc::no_such_file_or_directory, "ConnectError");
  }
}

/// Whether a stop token ended the call; true where the standard library has none.
bool stop(qga::Client<>& ga) {
#ifdef __cpp_lib_jthread
  std::stop_source source;
  std::thread other([&source] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  bool stopped = false;
  try {
    ga.with({.stop = source.get_token()}).run("sleep", {.args = {"5"}, .kill = true});
  } catch (const qga::CancelledError&) {
    stopped = true;
  }
  other.join();
  return stopped;
#else
  static_cast<void>(ga);
  std::cout << "skipped: a stop token, which this standard library does not have\n";
  return true;
#endif
}

#ifdef ASIO_HAS_CO_AWAIT
asio::awaitable<void> call_in_coroutine(std::string path) {
  qga::Client<> ga(co_await asio::this_coro::executor);
  co_await ga.async_connect(path, asio::use_awaitable);
  const std::string name = co_await ga.async(asio::use_awaitable).get_host_name();
  check(!name.empty(), "a coroutine");
  co_await ga.async_close(asio::use_awaitable);
}
#endif

void call_asynchronously(const std::string& path) {
  asio::io_context context;
  {
    qga::Client<> ga(context);
    ga.connect(path);
    int answers = 0;
    for (int i = 0; i < 3; ++i) {
      ga.async([&](std::exception_ptr error) { answers += error ? 0 : 1; }).ping();
    }
    auto future = ga.async(asio::use_future).get_osinfo();
    context.run();
    check(answers == 3, "callbacks");
    check(future.get().kernel_release.has_value(), "a future");
    ga.close();
    context.restart();
    context.run();
  }
#ifdef ASIO_HAS_CO_AWAIT
  std::exception_ptr failed;
  context.restart();
  asio::co_spawn(context, call_in_coroutine(path),
                 [&](std::exception_ptr error) { failed = error; });
  context.run();
  if (failed) std::rethrow_exception(failed);
#else
  std::cout << "skipped: a coroutine, which this Asio does not know with this compiler\n";
#endif
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: client SOCKET\n";
    return 2;
  }
  {
    qga::Client ga(argv[1], {.timeout = 30s});
    call_blocking(ga);
    transfer(ga);
    fail(ga);
    check(stop(ga), "a stop token");
    check(!ga.info().version.empty(), "the client works after errors");
  }
  call_asynchronously(argv[1]);
  std::cout << passes << " passed, " << failures << " failed\n";
  return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cout << "failed: " << error.what() << '\n';
  return 1;
}
