# Checks that SOURCE does not compile, with the error that its first line announces,
#   // error: <regular expression>
# and that it does compile with QGA_COMPILE_FAIL_CONTROL, which leaves out the wrong line: so that
# line is what fails.
set(command "${COMPILER}" -std=c++20 -fsyntax-only)
list(TRANSFORM INCLUDES PREPEND -I)
list(TRANSFORM DEFINITIONS PREPEND -D)
list(APPEND command ${INCLUDES} ${DEFINITIONS} "${SOURCE}")

file(STRINGS "${SOURCE}" first LIMIT_COUNT 1)
if(NOT first MATCHES "^// error: (.+)$")
  message(FATAL_ERROR "${SOURCE} does not begin with '// error: <regular expression>'")
endif()
set(expected "${CMAKE_MATCH_1}")

set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} -DQGA_COMPILE_FAIL_CONTROL RESULT_VARIABLE result
                ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message("${output}")
  message(FATAL_ERROR "${SOURCE} does not compile even without the wrong line")
endif()

execute_process(COMMAND ${command} RESULT_VARIABLE result ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles")
elseif(NOT output MATCHES "${expected}")
  message("${output}")
  message(FATAL_ERROR "${SOURCE} fails, but not with '${expected}'")
endif()
