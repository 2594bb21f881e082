// error: fields
//
// What is no request says what it lacks.
#include <qga/client.hpp>

struct OwnRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-own";
#ifdef QGA_COMPILE_FAIL_CONTROL
  template <class Self, class Visitor>
  static void fields(Self&, Visitor&) {}
#endif
};

void call(qga::Client<>& ga) { ga.execute(OwnRequest()); }
