# SPDX-License-Identifier: Apache-2.0
# 64-bit ARM by Debian's cross compiler; libraries from the tree that `tools/make_root.sh aarch64` makes,
# whose folder is BT_ROOT. Programs run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(BT_ROOT "" CACHE PATH "tree of an arm64 Debian with the libraries")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BT_ROOT)
set(CMAKE_SYSROOT "${BT_ROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${BT_ROOT}")
set(ENV{PKG_CONFIG_LIBDIR} "${BT_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${BT_ROOT}/usr/share/pkgconfig")
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;${BT_ROOT}")
