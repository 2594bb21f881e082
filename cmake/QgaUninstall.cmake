# Removes what `cmake --install` has installed from this build directory, which is the directory
# that this runs in: the files that the manifests name, and then the directories of the library that
# are empty. DESTDIR must be what it was for the installation.
file(GLOB manifests "${CMAKE_CURRENT_BINARY_DIR}/install_manifest*.txt")
if(NOT manifests)
  message(FATAL_ERROR "Nothing to remove: there is no install_manifest.txt in \
${CMAKE_CURRENT_BINARY_DIR}")
endif()

set(directories "")
foreach(manifest IN LISTS manifests)
  file(STRINGS "${manifest}" files)
  foreach(file IN LISTS files)
    set(path "$ENV{DESTDIR}${file}")
    if(EXISTS "${path}" OR IS_SYMLINK "${path}")
      message(STATUS "Removing ${path}")
      file(REMOVE "${path}")
      if(EXISTS "${path}")
        message(FATAL_ERROR "${path} cannot be removed")
      endif()
    endif()
    # Others, such as .../bin, may have been there before.
    cmake_path(GET path PARENT_PATH directory)
    while(directory MATCHES "/(include|cmake|doc)/qga(/|$)")
      list(APPEND directories "${directory}")
      cmake_path(GET directory PARENT_PATH directory)
    endwhile()
  endforeach()
  file(REMOVE "${manifest}")
endforeach()

# The longest names first, so that a directory comes behind those in it.
list(REMOVE_DUPLICATES directories)
list(SORT directories ORDER DESCENDING)
foreach(directory IN LISTS directories)
  file(GLOB rest "${directory}/*" "${directory}/.*")
  list(FILTER rest EXCLUDE REGEX "/\\.\\.?$")
  if(NOT rest AND IS_DIRECTORY "${directory}")
    file(REMOVE_RECURSE "${directory}")
  endif()
endforeach()
