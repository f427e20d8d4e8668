# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# Finds what polymoe's headers include: Boost.MP11 and xsimd. Both are headers only, so a directory is enough
# where there is no package. Used by the build and by the installed package.

if(NOT TARGET Boost::headers)
  find_package(Boost 1.74 QUIET)
endif()
if(NOT TARGET Boost::headers)
  find_path(POLYMOE_BOOST_INCLUDE_DIR NAMES boost/mp11.hpp PATH_SUFFIXES include
            DOC "The directory that holds boost/mp11.hpp")
  if(POLYMOE_BOOST_INCLUDE_DIR AND EXISTS "${POLYMOE_BOOST_INCLUDE_DIR}/boost/mp11.hpp")
    add_library(Boost::headers INTERFACE IMPORTED)
    set_target_properties(Boost::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${POLYMOE_BOOST_INCLUDE_DIR}")
  endif()
endif()

# Of xsimd only the headers: the target of Debian's package also asks for the library of another package.
if(NOT TARGET polymoe::xsimd)
  find_package(xsimd QUIET)
  if(TARGET xsimd)
    get_target_property(POLYMOE_XSIMD_INCLUDE_DIR xsimd INTERFACE_INCLUDE_DIRECTORIES)
  endif()
  if(NOT POLYMOE_XSIMD_INCLUDE_DIR)
    find_path(POLYMOE_XSIMD_INCLUDE_DIR NAMES xsimd/xsimd.hpp PATH_SUFFIXES include
              DOC "The directory that holds xsimd/xsimd.hpp")
  endif()
  if(POLYMOE_XSIMD_INCLUDE_DIR)
    add_library(polymoe::xsimd INTERFACE IMPORTED)
    set_target_properties(polymoe::xsimd PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${POLYMOE_XSIMD_INCLUDE_DIR}")
  endif()
endif()

set(polymoe_missing "")
if(NOT TARGET Boost::headers)
  list(APPEND polymoe_missing "Boost 1.74 or newer (MP11; Debian: libboost-dev)")
endif()
if(NOT TARGET polymoe::xsimd)
  list(APPEND polymoe_missing "xsimd 8.1 or newer (Debian: libxsimd-dev)")
endif()
if(polymoe_missing)
  list(JOIN polymoe_missing " and " polymoe_missing)
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "polymoe")
    set(polymoe_FOUND FALSE)
    set(polymoe_NOT_FOUND_MESSAGE "polymoe needs ${polymoe_missing}")
  else()
    message(FATAL_ERROR "polymoe needs ${polymoe_missing}")
  endif()
endif()
