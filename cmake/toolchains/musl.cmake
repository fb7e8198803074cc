# SPDX-License-Identifier: Apache-2.0
# musl in the place of glibc, by Debian's musl-gcc; libraries from the folder that `tools/make_root.sh musl`
# makes, which is BT_ROOT. Programs run on this machine.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER musl-gcc)
set(BT_ROOT "" CACHE PATH "folder with the libraries")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BT_ROOT)
set(CMAKE_FIND_ROOT_PATH "${BT_ROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} "${BT_ROOT}/lib/pkgconfig")
