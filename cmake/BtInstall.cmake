# cmake --install, CPack's .deb and the list of what is inside (docs/guide/install.md).
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # of what is built, the programs are wanted, not the tests
set(programs bert-train create-finetuning-data bert-tokenize bert-checkpoint)
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The programs have these inside; as files they are there to be read and copied.
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bert-train/configs)
install(DIRECTORY data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bert-train/data)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs PATTERN model_garden EXCLUDE PATTERN bench EXCLUDE)

# What the programs write of their own tables of flags (not where they cannot run: programs/CMakeLists.txt).
if(TARGET man_pages)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
  set(completions ${CMAKE_BINARY_DIR}/completions)
  file(MAKE_DIRECTORY ${completions})
  set(scripts)
  foreach(shell bash zsh fish)
    add_custom_command(OUTPUT ${completions}/${shell} COMMAND bert-train completion ${shell} > ${completions}/${shell}
      DEPENDS bert-train VERBATIM)
    list(APPEND scripts ${completions}/${shell})
  endforeach()
  add_custom_target(completions ALL DEPENDS ${scripts})
  install(FILES ${completions}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _bert-train)
  foreach(program IN LISTS programs) # both shells look for a file of a command's name
    install(FILES ${completions}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
      RENAME ${program})
    install(FILES ${completions}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
      RENAME ${program}.fish)
  endforeach()
endif()

# Which libraries the programs were built with, for those who must answer for them (CycloneDX 1.5).
set(sbom ${CMAKE_BINARY_DIR}/bert-train.cdx.json)
if(Python3_Interpreter_FOUND)
  find_package(ZLIB REQUIRED)
  set(libraries zlib=${ZLIB_VERSION_STRING})
  foreach(library YAML JANSSON PROTOBUFC PCRE2 CURL OPENSSL ARCHIVE EXPAT)
    if(${library}_FOUND)
      list(APPEND libraries ${${library}_MODULE_NAME}=${${library}_VERSION})
    endif()
  endforeach()
  execute_process(COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tools/package/make_sbom.py ${sbom}
    ${PROJECT_VERSION} ${libraries} COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${sbom} DESTINATION ${CMAKE_INSTALL_DATADIR}/bert-train)
endif()

# A package that dpkg, apt and lintian take: cd build/release && cpack
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME bert-train)
set(CPACK_PACKAGE_CONTACT "The bert-train authors <root@localhost>" CACHE STRING "maintainer of the package")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "fine-tunes BERT as TensorFlow Model Garden does, natively")
set(CPACK_PACKAGE_DESCRIPTION "One program with the flags, configurations, records, checkpoints and
numbers of Model Garden's official/nlp/train.py: it starts in
milliseconds, computes no padding, and continues a killed run to the same
bits. With it come create-finetuning-data, which makes its records,
bert-tokenize and bert-checkpoint.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# loaded when they are used: a BLAS where there are no kernels of our own, certificates for stores
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libopenblas0, ca-certificates")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/BtDebian.cmake)
set(CPACK_BT_SOURCE_DIR ${CMAKE_SOURCE_DIR})
# The time of everything in the package: SOURCE_DATE_EPOCH, or when the source was committed.
set(CPACK_BT_EPOCH "$ENV{SOURCE_DATE_EPOCH}")
if(NOT CPACK_BT_EPOCH)
  execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 --format=%ct OUTPUT_VARIABLE CPACK_BT_EPOCH
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT CPACK_BT_EPOCH)
  set(CPACK_BT_EPOCH 1764374400) # no repository: some fixed day
endif()
include(CPack)
