# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# How polymoe's own tests and tools are compiled. Nothing here reaches a user of the library.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_EXTENSIONS OFF)

find_program(POLYMOE_CCACHE ccache)
if(POLYMOE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached too when ccache may look past their time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${POLYMOE_CCACHE})
endif()

# The flags of every own target: link polymoe_own_build.
add_library(polymoe_own_build INTERFACE)
target_compile_options(polymoe_own_build INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(POLYMOE_WARNINGS_AS_ERRORS)
  target_compile_options(polymoe_own_build INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees uses of uninitialized values in the intrinsics' own headers (_mm512_undefined_epi32), and parameters with
  # vector attributes in templates that drop them, and overlapping copies in std::string operator+ (its bug 105651).
  target_compile_options(polymoe_own_build INTERFACE -Wno-maybe-uninitialized -Wno-uninitialized -Wno-ignored-attributes
                                                     -Wno-psabi -Wno-restrict)
endif()
if(POLYMOE_SANITIZE)
  target_compile_options(polymoe_own_build INTERFACE -fsanitize=${POLYMOE_SANITIZE} -fno-sanitize-recover=all
                                                     -fno-omit-frame-pointer -g1)
  target_link_options(polymoe_own_build INTERFACE -fsanitize=${POLYMOE_SANITIZE})
endif()

# Optional: what is found is tried.
find_package(OpenMP QUIET COMPONENTS CXX)
find_package(TBB QUIET)
find_package(Threads REQUIRED)
foreach(pair "OpenMP::OpenMP_CXX" "TBB::tbb")
  if(TARGET ${pair})
    message(STATUS "polymoe: with ${pair}")
  else()
    message(STATUS "polymoe: without ${pair}")
  endif()
endforeach()

# The executors that were found, for tools and tests. A polymoe header that needs one says so by __has_include or _OPENMP.
add_library(polymoe_executors INTERFACE)
target_link_libraries(polymoe_executors INTERFACE Threads::Threads)
if(TARGET OpenMP::OpenMP_CXX)
  target_link_libraries(polymoe_executors INTERFACE OpenMP::OpenMP_CXX)
endif()
if(TARGET TBB::tbb)
  target_link_libraries(polymoe_executors INTERFACE TBB::tbb)
  target_compile_definitions(polymoe_executors INTERFACE POLYMOE_WITH_TBB)
endif()
