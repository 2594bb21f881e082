# Install rules, in components: `dev` for users of the library, `docs` for the licence; the tool has
# its rules, of the component `tool`, in examples/qga. An installed qga finds its dependencies by
# find_package, so it needs them installed.
if(QGA_FETCHED)
  list(JOIN QGA_FETCHED ", " fetched)
  install(CODE "message(FATAL_ERROR \"qga: cannot be installed without installed packages of what was \
fetched for this build: ${fetched}\")"
          COMPONENT dev)
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/qga")
set(pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(TARGETS qga EXPORT qgaTargets COMPONENT dev
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT qgaTargets NAMESPACE qga:: DESTINATION "${package_dir}" COMPONENT dev)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/qga" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        COMPONENT dev FILES_MATCHING PATTERN "*.hpp")
install(FILES COPYING COPYING.LESSER DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT docs)

configure_package_config_file(cmake/qgaConfig.cmake.in qgaConfig.cmake
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file(qgaConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/qgaConfig.cmake" "${PROJECT_BINARY_DIR}/qgaConfigVersion.cmake"
              cmake/FindAsio.cmake
        DESTINATION "${package_dir}" COMPONENT dev)

# For pkg-config. The file finds the headers from where it lies itself, because `cmake --install`
# may be given another prefix than this one.
file(RELATIVE_PATH relative_includedir "${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir}"
     "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
configure_file(cmake/qga.pc.in qga.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/qga.pc" DESTINATION "${pkgconfig_dir}" COMPONENT dev)

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(uninstall VERBATIM COMMAND "${CMAKE_COMMAND}" -P
                    "${PROJECT_SOURCE_DIR}/cmake/QgaUninstall.cmake"
                    COMMENT "Removing what was installed from this build directory")
  include(cmake/packaging/QgaDebian.cmake)
endif()
