# Removes the installation in PREFIX, which MANIFEST lists, by SCRIPT, and looks for what is left.
# The manifest is copied, because the build directory may have others, of the user's installations.
set(directory "${PREFIX}-manifest")
file(REMOVE_RECURSE "${directory}")
file(MAKE_DIRECTORY "${directory}")
file(COPY "${MANIFEST}" DESTINATION "${directory}")
execute_process(COMMAND "${CMAKE_COMMAND}" -P "${SCRIPT}" WORKING_DIRECTORY "${directory}"
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE rest LIST_DIRECTORIES true "${PREFIX}/*")
list(FILTER rest INCLUDE REGEX "/qga|\\.") # leaves out directories such as share/cmake
if(rest)
  message(FATAL_ERROR "uninstall has left ${rest}")
endif()
