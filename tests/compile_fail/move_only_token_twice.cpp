// error: (static assertion failed|deleted|discards|no matching|no type named|constraint|cannot
// bind|lvalue)
//
// A completion token that can only be moved is good for one call.
#include <exception>
#include <memory>
#include <utility>

#include <qga/client.hpp>

struct Handler {
  std::unique_ptr<int> owned;
  void operator()(std::exception_ptr) {}
};

#ifdef QGA_COMPILE_FAIL_CONTROL
void call(qga::Client<>& ga) { ga.async(Handler()).ping(); }
#else
void call(qga::Client<>& ga) {
  auto calls = ga.async(Handler());
  calls.ping();
  calls.ping();
}
#endif
