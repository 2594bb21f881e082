# Run by cpack between installing and packing: writes the files that Debian wants in every package,
# and compresses the manual page.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(version "${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
set(changelog "qga (${version}) unstable; urgency=medium

  * Packages made by cpack. changelog.gz says what has changed in qga.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER "${component}" COMPONENT)
  set(root "${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share")
  set(doc "${root}/doc/${CPACK_DEBIAN_${COMPONENT}_PACKAGE_NAME}")
  file(WRITE "${doc}/changelog.Debian" "${changelog}")
  file(COPY_FILE "${CPACK_QGA_SOURCE_DIR}/CHANGELOG.md" "${doc}/changelog")
  file(COPY_FILE "${CPACK_QGA_SOURCE_DIR}/cmake/packaging/copyright" "${doc}/copyright")
  file(GLOB pages "${root}/man/man*/*.[1-9]")
  # -n leaves out the time, so that the same files make the same package.
  execute_process(COMMAND gzip -9n "${doc}/changelog.Debian" "${doc}/changelog" ${pages}
                  COMMAND_ERROR_IS_FATAL ANY)

  # cpack has written a list of what it would have installed below /usr. The target `uninstall` must
  # not find it.
  file(REMOVE "${CPACK_QGA_BINARY_DIR}/install_manifest_${component}.txt")
endforeach()
