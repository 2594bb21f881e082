// error: (no matching (function|constructor)|could not convert|invalid conversion)
//
// A path is not a number, and nothing turns silently into a request.
#include <qga/commands/file.hpp>

#ifdef QGA_COMPILE_FAIL_CONTROL
qga::GuestFileOpenRequest request("/etc/hostname");
#else
qga::GuestFileOpenRequest request(1);
#endif
