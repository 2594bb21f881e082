# Checks that every header below INCLUDE opens the namespace qga as the inline namespace of VERSION,
# such as v0_1, so that objects compiled with two versions can be linked into one program; and that
# PORT, the manifest for vcpkg, has the same version.
string(REGEX REPLACE "^([0-9]+)\\.([0-9]+)\\..*" "v\\1_\\2" name "${VERSION}")
file(GLOB_RECURSE headers "${INCLUDE}/*.hpp")
set(wrong "")
foreach(header IN LISTS headers)
  file(STRINGS "${header}" lines REGEX "^namespace qga|^}  // namespace qga")
  list(FILTER lines EXCLUDE REGEX "namespace qga::inline ${name}(::[a-z_]+)*( {)?$")
  file(READ "${header}" text)
  if(lines OR NOT text MATCHES "namespace qga::inline ${name}")
    string(APPEND wrong "\n  ${header}: ${lines}")
  endif()
endforeach()
if(wrong OR NOT headers)
  message(FATAL_ERROR "These headers are not in qga::inline ${name}, the version of \
qga/version.hpp:${wrong}")
endif()

file(READ "${PORT}" port)
string(JSON port_version GET "${port}" version)
if(NOT port_version STREQUAL VERSION)
  message(FATAL_ERROR "${PORT} says ${port_version} instead of ${VERSION}")
endif()
