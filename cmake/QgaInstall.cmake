# Install rules. An installed qga finds its dependencies by find_package, so it needs them installed.
if(QGA_FETCHED)
  list(JOIN QGA_FETCHED ", " fetched)
  install(CODE "message(FATAL_ERROR \"qga: cannot be installed without installed packages of what was \
fetched for this build: ${fetched}\")")
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/qga")

install(TARGETS qga EXPORT qgaTargets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT qgaTargets NAMESPACE qga:: DESTINATION "${package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/qga" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(FILES COPYING COPYING.LESSER DESTINATION "${CMAKE_INSTALL_DOCDIR}")

configure_package_config_file(cmake/qgaConfig.cmake.in qgaConfig.cmake
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(qgaConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/qgaConfig.cmake" "${PROJECT_BINARY_DIR}/qgaConfigVersion.cmake"
              cmake/FindAsio.cmake
        DESTINATION "${package_dir}")
