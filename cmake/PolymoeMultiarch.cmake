# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
#   polymoe_add_multiarch_library(NAME SOURCES FILE... [ISAS ISA...] [LINK_LIBRARIES TARGET...])
#
# Compiles each source once for each instruction set, and joins the objects in the library NAME. polymoe's inline
# namespaces keep the builds apart in one program; polymoe/target/dispatch.hpp chooses among them at start-up
# (docs/multiarch.md). A target that links NAME gets the definition <NAME in capitals>_ISAS: the levels that were built,
# for polymoe::entry_points.
#
# The objects of the least capable instruction set are linked first. Inline functions that are not polymoe's (those of the
# standard library) exist in each build, and the linker keeps the first it meets: so it is one that every CPU can run.

# Instruction sets, least capable first, and their flags. A macro, so that the functions below see them wherever they are
# called from.
macro(polymoe_define_isas)
  set(POLYMOE_X86_64_ISAS portable sse42 avx2 avx512 avx512_bf16 amx)
  set(POLYMOE_AARCH64_ISAS neon64)

  set(POLYMOE_FLAGS_portable -march=x86-64)
  set(POLYMOE_FLAGS_sse42 -march=x86-64-v2)
  set(POLYMOE_FLAGS_avx2 ${POLYMOE_FLAGS_sse42} -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mmovbe)
  set(POLYMOE_FLAGS_avx512 ${POLYMOE_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd
      -mprefer-vector-width=512)
  set(POLYMOE_FLAGS_avx512_bf16 ${POLYMOE_FLAGS_avx512} -mavx512vbmi -mavx512vnni -mavx512bf16)
  set(POLYMOE_FLAGS_amx ${POLYMOE_FLAGS_avx512_bf16} -mamx-tile -mamx-bf16 -mamx-int8)
  set(POLYMOE_FLAGS_neon64 -march=armv8-a)
endmacro()
polymoe_define_isas()

include(CheckCXXCompilerFlag)

set(POLYMOE_ISAS "" CACHE STRING "Instruction sets that multi-arch libraries are built for; empty: all that the compiler knows")

# The instruction sets of this processor family that the compiler knows, least capable first.
function(polymoe_known_isas result)
  polymoe_define_isas()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(candidates ${POLYMOE_X86_64_ISAS})
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(candidates ${POLYMOE_AARCH64_ISAS})
  else()
    message(FATAL_ERROR "polymoe: no instruction sets are listed for the processor '${CMAKE_SYSTEM_PROCESSOR}'")
  endif()
  set(known "")
  foreach(isa IN LISTS candidates)
    list(JOIN POLYMOE_FLAGS_${isa} " " flags)
    check_cxx_compiler_flag("${flags}" POLYMOE_COMPILES_${isa})
    if(POLYMOE_COMPILES_${isa} AND (NOT POLYMOE_ISAS OR isa IN_LIST POLYMOE_ISAS))
      list(APPEND known ${isa})
    endif()
  endforeach()
  set(${result} ${known} PARENT_SCOPE)
endfunction()

function(polymoe_add_multiarch_library name)
  polymoe_define_isas()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;ISAS;LINK_LIBRARIES")
  if(NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "polymoe_add_multiarch_library(NAME SOURCES FILE... [ISAS ISA...] [LINK_LIBRARIES TARGET...])")
  endif()
  polymoe_known_isas(isas)
  if(arg_ISAS)
    foreach(isa IN LISTS arg_ISAS)
      if(NOT isa IN_LIST isas)
        message(STATUS "polymoe: ${name} is not built for ${isa}: another processor family, or unknown to the compiler")
      endif()
    endforeach()
    set(known ${isas})
    set(isas "")
    foreach(isa IN LISTS known)  # in the order of the known ones, whatever order was asked for
      if(isa IN_LIST arg_ISAS)
        list(APPEND isas ${isa})
      endif()
    endforeach()
  endif()

  add_library(${name} INTERFACE)
  set(levels "")
  foreach(isa IN LISTS isas)
    add_library(${name}_${isa} OBJECT ${arg_SOURCES})
    target_compile_options(${name}_${isa} PRIVATE ${POLYMOE_FLAGS_${isa}})
    target_link_libraries(${name}_${isa} PRIVATE polymoe::polymoe ${arg_LINK_LIBRARIES})
    target_sources(${name} INTERFACE $<TARGET_OBJECTS:${name}_${isa}>)
    list(APPEND levels "polymoe::isa_level::${isa}")
  endforeach()
  list(JOIN levels "," levels)
  string(TOUPPER ${name} upper)
  target_compile_definitions(${name} INTERFACE "${upper}_ISAS=${levels}")
  target_link_libraries(${name} INTERFACE polymoe::polymoe ${arg_LINK_LIBRARIES})
endfunction()
