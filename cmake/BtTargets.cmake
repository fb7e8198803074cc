# bt_add_room(NAME SOURCES a.c b.c [ROOMS base wire] [LIBRARIES m ...])
#   A room is one static library, bt_NAME, whose public header is include/bt/NAME.h, or a header a subject in include/bt/NAME/.
function(bt_add_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(bt_${name} STATIC ${ARG_SOURCES})
  target_include_directories(bt_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include
                                        PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(bt_${name} PRIVATE bt_flags PUBLIC ${ARG_LIBRARIES})
  if(BT_COVERAGE AND name MATCHES "^(kern|nn|exec)$")
    # they compute, in whole programs for minutes; what is counted there is the same
    target_compile_options(bt_${name} PRIVATE -O2)
  endif()
  foreach(room ${ARG_ROOMS})
    target_link_libraries(bt_${name} PUBLIC bt_${room})
  endforeach()
endfunction()

# bt_add_program(NAME SOURCES main.c ROOMS train ckpt)
#   An executable in the root of the build folder.
function(bt_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE bt_flags ${ARG_LIBRARIES})
  foreach(room ${ARG_ROOMS})
    target_link_libraries(${name} PRIVATE bt_${room})
  endforeach()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()

# bt_add_test(NAME SOURCES test_a.c ROOMS base [LABELS short] [TIMEOUT 60])
#   A cmocka program. Exit status 77 counts as skipped, and the program says why.
function(bt_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;ROOMS;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE bt_flags bt_test_support ${ARG_LIBRARIES})
  foreach(room ${ARG_ROOMS})
    target_link_libraries(${name} PRIVATE bt_${room})
  endforeach()
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS short)
  endif()
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "/tests/unit/") # those of rooms: ctest -L unit
    list(APPEND ARG_LABELS unit)
    if(NOT TARGET unit_tests)
      add_custom_target(unit_tests)
    endif()
    add_dependencies(unit_tests ${name})
  endif()
  bt_test_properties(${name} "${ARG_LABELS}" "${ARG_TIMEOUT}")
endfunction()

# Properties that every test has, cmocka program or script.
function(bt_test_properties name labels timeout)
  if(NOT labels)
    set(labels short)
  endif()
  if(NOT timeout)
    set(timeout 120)
  endif()
  set(cost ${timeout}) # what takes long begins first, so that nothing is waited for alone in the end
  # What a quiet machine of two cores never takes, stretched: the limit is for what hangs, not for what is
  # slow. The scripts stretch the times in them alike (tests/e2e/support/e2e.py).
  math(EXPR timeout "${BT_TEST_SLOW} * ${timeout}")
  if(timeout GREATER 3000)
    set(timeout 3000)
  endif()
  if(BT_SANITIZE MATCHES thread) # each access to memory is looked at: ten times as slow, and more
    math(EXPR timeout "2 * ${timeout}")
  endif()
  set(libraries)
  if(NOT BT_IS_GLIBC) # tests/support/plain_blas.c
    set(libraries "LD_LIBRARY_PATH=${CMAKE_BINARY_DIR}/tests/blas;")
  endif()
  if(CMAKE_CROSSCOMPILING_EMULATOR MATCHES "qemu-aarch64") # every instruction it knows
    string(APPEND libraries "QEMU_CPU=max;")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} COST ${cost}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${libraries}BT_TEST_SLOW=${BT_TEST_SLOW};BT_SHARED_DIR=${BT_SHARED_DIR};BT_SOURCE_DIR=${CMAKE_SOURCE_DIR};BT_BUILD_DIR=${CMAKE_BINARY_DIR};TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp;LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")
endfunction()

# bt_run_once(NAME...)
#   .ci/run leaves these out where it runs everything a second time, under sanitizers (ctest -LE once): they look
#   at sources, pages and packages, at what plug-ins compile or at servers and times of others, and what they run
#   of ours other tests run there as well.
function(bt_run_once)
  foreach(name ${ARGN})
    set_property(TEST ${name} APPEND PROPERTY LABELS once)
  endforeach()
endfunction()

# bt_add_script_test(NAME SCRIPT.py LABELS TIMEOUT [ARGUMENTS...])
#   A Python script (standard library only) that runs the built programs.
find_package(Python3 COMPONENTS Interpreter)
function(bt_add_script_test name script labels timeout)
  if(Python3_Interpreter_FOUND)
    add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/${script}
      ${ARGN})
    bt_test_properties(${name} "${labels}" "${timeout}")
  else()
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "SKIPPED: there is no python3")
    bt_test_properties(${name} "${labels}" "${timeout}")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED")
  endif()
endfunction()
