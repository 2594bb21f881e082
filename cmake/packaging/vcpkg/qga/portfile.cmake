# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The library as an overlay port of vcpkg, made from the repository that this file is in:
#   vcpkg install qga --overlay-ports=cmake/packaging/vcpkg
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

set(VCPKG_BUILD_TYPE release) # Nothing is compiled.
vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}"
                      OPTIONS -DQGA_BUILD_TESTS=OFF -DQGA_BUILD_EXAMPLES=OFF -DQGA_BUILD_TOOL=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/qga)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/COPYING.LESSER" "${SOURCE_PATH}/COPYING")
