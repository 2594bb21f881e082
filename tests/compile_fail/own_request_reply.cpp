// error: a member in a field table, or a Reply, must be bool, a number
//
// A reply without a field table says what it lacks.
#include <qga/client.hpp>

struct OwnReply {
  int value = 0;
#ifdef QGA_COMPILE_FAIL_CONTROL
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor& visit) {
    visit("value", self.value);
  }
#endif
};
struct OwnRequest {
  using Reply = OwnReply;
  static constexpr std::string_view command = "guest-own";
  template <class Self, class Visitor>
  static void fields(Self&, Visitor&) {}
};

int call(qga::Client<>& ga) { return ga.execute(OwnRequest()).value; }
