# Debian packages by cpack: libqga-dev, and qga-tools where the tool is built.
#
#   cmake --preset release && cmake --build --preset release --target package
set(QGA_PACKAGE_MAINTAINER "Nobody <nobody@nowhere.invalid>" CACHE STRING
    "Who maintains the Debian packages: Name <address>")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME qga)
set(CPACK_PACKAGE_VENDOR qga)
set(CPACK_PACKAGE_CONTACT "${QGA_PACKAGE_MAINTAINER}")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL dev)
if(TARGET qga_tool)
  list(APPEND CPACK_COMPONENTS_ALL tool)
endif()

# A revision that begins with 0 is lower than those that distributions give.
set(CPACK_DEBIAN_PACKAGE_RELEASE 0cpack1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE qga)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(about "It asks a virtual machine about itself, runs programs in it, copies files,
freezes its file systems and shuts it down.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libqga-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libasio-dev (>= 1:1.22.1), nlohmann-json3-dev (>= 3.11)")
set(CPACK_COMPONENT_DEV_DESCRIPTION
    "C++20 client library of the QEMU Guest Agent (headers only)
${about}
This package has the headers, and what CMake and pkg-config need to find
them.")

set(CPACK_DEBIAN_TOOL_PACKAGE_NAME qga-tools)
set(CPACK_DEBIAN_TOOL_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_TOOL_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_TOOL_DESCRIPTION
    "command-line client of the QEMU Guest Agent
${about}
This package has the program qga, its manual page and its completions for
bash, zsh and fish.")

# What Debian wants beside what is installed.
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/debian_files.cmake")
set(CPACK_QGA_SOURCE_DIR "${PROJECT_SOURCE_DIR}")
set(CPACK_QGA_BINARY_DIR "${PROJECT_BINARY_DIR}")

include(CPack)
