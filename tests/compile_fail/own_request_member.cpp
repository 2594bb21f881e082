// error: a member in a field table, or a Reply, must be bool, a number
//
// An argument of a type that cannot be written says which types can.
#include <qga/client.hpp>

struct OwnRequest {
  using Reply = void;
  static constexpr std::string_view command = "guest-own";
#ifdef QGA_COMPILE_FAIL_CONTROL
  int argument = 0;
#else
  void* argument = nullptr;
#endif
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor& visit) {
    visit("argument", self.argument);
  }
};

void call(qga::Client<>& ga) { ga.execute(OwnRequest()); }
