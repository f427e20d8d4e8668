# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# Headers, the CMake package (find_package(polymoe)) and the pkg-config file.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/polymoe)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/polymoe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS polymoe EXPORT polymoeTargets)
install(EXPORT polymoeTargets NAMESPACE polymoe:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/polymoeConfig.cmake.in polymoeConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(polymoeConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/polymoeConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/polymoeConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/PolymoeDependencies.cmake ${PROJECT_SOURCE_DIR}/cmake/PolymoeMultiarch.cmake
        DESTINATION ${package_dir})

configure_file(${PROJECT_SOURCE_DIR}/cmake/polymoe.pc.in polymoe.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/polymoe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
