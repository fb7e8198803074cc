# Language level, warnings and sanitizers for every target.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()

include(CheckSymbolExists)
check_symbol_exists(__GLIBC__ features.h BT_IS_GLIBC)

option(BT_BUILD_TESTS "build the test suite" ON)
option(BT_WERROR "warnings are errors (the preset dev and .ci/run: a user's compiler may know more)" OFF)
option(BT_STATIC "programs without any shared library: no stores, no BLAS, no plug-ins (musl only)" OFF)
set(BT_SANITIZE "" CACHE STRING "sanitizers, e.g. address,undefined")
option(BT_COVERAGE "instrument for coverage" OFF)
option(BT_FUZZ "build the libFuzzer targets (clang)" OFF)
option(BT_ISA_REF_ONLY "leave out the AVX2 and AVX-512 kernels" OFF)
set(BT_TEST_SLOW 4 CACHE STRING "how many times as slow as a quiet machine of two cores tests may be (a whole number)")
set(BT_SHARED_DIR "${CMAKE_SOURCE_DIR}/../shared" CACHE PATH
    "folder with Model Garden's goldens; tests that need it skip when it is absent")

if(BT_STATIC AND BT_IS_GLIBC)
  message(FATAL_ERROR "BT_STATIC: a static program needs musl in the place of glibc, which loads parts of itself when "
    "it looks up names: tools/make_root.sh musl, then cmake --preset static")
endif()

add_library(bt_flags INTERFACE)
# Paths within the source, not those of this machine: what is built does not depend on where.
target_compile_options(bt_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
  -ffile-prefix-map=${CMAKE_BINARY_DIR}/=build/)
target_compile_definitions(bt_flags INTERFACE _POSIX_C_SOURCE=200809L _FILE_OFFSET_BITS=64)
target_compile_options(bt_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wswitch-enum -fno-math-errno -ffp-contract=off
  $<$<C_COMPILER_ID:Clang>:-Wenum-float-conversion>
  # snprintf into a fixed buffer cuts on purpose: messages and names of bounded length
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
if(BT_WERROR)
  target_compile_options(bt_flags INTERFACE -Werror)
endif()

# What makes a bug in reading hostile files hard to use (tests/reliability/hardening.py looks at the
# binaries). Sanitizers have their own checks at the same places, and collide with FORTIFY.
option(BT_HARDEN "position-independent, full RELRO, stack protector, FORTIFY 3" ON)
if(BT_HARDEN)
  target_compile_options(bt_flags INTERFACE -fPIE)
  target_link_options(bt_flags INTERFACE $<$<NOT:$<BOOL:${BT_STATIC}>>:-pie> -Wl,-z,relro,-z,now,-z,noexecstack)
  if(NOT BT_SANITIZE AND NOT BT_COVERAGE)
    target_compile_options(bt_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
      # FORTIFY works on optimised code only, and warns elsewhere
      $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE>
      $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=3>)
  endif()
endif()
if(BT_STATIC)
  # Debian's musl-gcc gives a static-pie program an interpreter: it would not be static
  target_link_options(bt_flags INTERFACE -static -no-pie)
endif()
if(BT_SANITIZE)
  target_compile_options(bt_flags INTERFACE -fsanitize=${BT_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(bt_flags INTERFACE -fsanitize=${BT_SANITIZE})
endif()
if(BT_COVERAGE)
  # atomic: the pool's threads count in the same places
  target_compile_options(bt_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(bt_flags INTERFACE --coverage)
endif()
if(BT_FUZZ)
  target_compile_options(bt_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
