# Run by cpack over the tree that becomes the package: what Debian's policy wants of it, and one time for all its files,
# so that the same source gives the same bytes.
set(ENV{SOURCE_DATE_EPOCH} ${CPACK_BT_EPOCH})
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(pages ${root}/usr/share/doc/bert-train)
set(changes CHANGELOG.md)
file(COPY_FILE ${CPACK_BT_SOURCE_DIR}/tools/package/copyright ${pages}/copyright)
file(REMOVE ${pages}/LICENSE) # copyright says where Debian has it
file(RENAME ${pages}/${changes} ${pages}/changelog)
file(RENAME ${root}/usr/share/zsh/site-functions ${root}/usr/share/zsh/vendor-completions)
execute_process(COMMAND env LC_ALL=C date -u -R -d @${CPACK_BT_EPOCH} OUTPUT_VARIABLE when
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(WRITE ${pages}/changelog.Debian
  "bert-train (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
  "  * What changed is in changelog.gz.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${when}\n")
file(GLOB_RECURSE packed ${pages}/changelog ${pages}/changelog.Debian ${root}/usr/share/man/*.1)
execute_process(COMMAND gzip -9n ${packed} COMMAND_ERROR_IS_FATAL ANY)

file(GLOB_RECURSE files LIST_DIRECTORIES false ${root}/*)
foreach(file IN LISTS files)
  if(file MATCHES "/usr/bin/")
    file(CHMOD ${file} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  else()
    file(CHMOD ${file} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  endif()
endforeach()
execute_process(COMMAND find ${root} -type d -exec chmod 755 {} + COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND find ${root} -exec touch -h -d @${CPACK_BT_EPOCH} {} + COMMAND_ERROR_IS_FATAL ANY)
