// error: (no match for .operator==|invalid operands)
//
// An outcome is not a code: comparing it with one is a mistake.
#include <qga/error.hpp>

#ifdef QGA_COMPILE_FAIL_CONTROL
bool refused(const qga::GuestAgentError& e) { return e.outcome() == qga::Outcome::refused; }
#else
bool refused(const qga::GuestAgentError& e) { return e.outcome() == qga::err_from_agent; }
#endif
