# The install target, and the package that find_package(DeepShift) finds. Headers keep their folders.
include(CMakePackageConfigHelpers)

install(TARGETS ds EXPORT DeepShiftTargets)
if(DEEPSHIFT_C_API)
  install(TARGETS ds_c EXPORT DeepShiftTargets)
  install(FILES infer/c_api/deepshift.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endif()
install(FILES ds.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/deepshift)
install(DIRECTORY core autograd layers models data infer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/deepshift
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def" PATTERN "core/cpu" EXCLUDE PATTERN "infer/cpu/kernels" EXCLUDE
        PATTERN "infer/c_api" EXCLUDE)
install(EXPORT DeepShiftTargets NAMESPACE DeepShift:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/DeepShift)

configure_package_config_file(cmake/DeepShiftConfig.cmake.in ${PROJECT_BINARY_DIR}/DeepShiftConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/DeepShift)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/DeepShiftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/DeepShiftConfig.cmake ${PROJECT_BINARY_DIR}/DeepShiftConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/DeepShift)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
