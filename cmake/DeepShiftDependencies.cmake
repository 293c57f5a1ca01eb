# What is linked, and what is only looked for so that the summary can speak of it.
find_package(fmt REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# OpenBLAS by name: the kernels use its cblas.h and turn its own threading off, which other BLAS have no call for.
set(BLA_VENDOR OpenBLAS)
find_package(BLAS REQUIRED)

# Three Debian packages provide one library name; they differ in their threads, which the library does not use.
list(GET BLAS_LIBRARIES 0 DEEPSHIFT_BLAS_LIBRARY)
file(REAL_PATH ${DEEPSHIFT_BLAS_LIBRARY} DEEPSHIFT_BLAS_FILE)
cmake_path(GET DEEPSHIFT_BLAS_FILE PARENT_PATH DEEPSHIFT_BLAS_FLAVOUR)
cmake_path(GET DEEPSHIFT_BLAS_FLAVOUR FILENAME DEEPSHIFT_BLAS_FLAVOUR)
if(NOT DEEPSHIFT_BLAS_FLAVOUR MATCHES "^openblas-")
  set(DEEPSHIFT_BLAS_FLAVOUR "openblas")
endif()

# Photographs: libjpeg-turbo reads JPEG where it is found (plain libjpeg cannot leave out rows), stb_image all else.
find_path(DEEPSHIFT_STB_FOLDER stb_image.h PATH_SUFFIXES stb REQUIRED)
mark_as_advanced(DEEPSHIFT_STB_FOLDER)
set(DEEPSHIFT_WITH_LIBJPEG OFF)
if(NOT DEEPSHIFT_LIBJPEG)
  set(DEEPSHIFT_LIBJPEG_REASON "DEEPSHIFT_LIBJPEG is OFF")
else()
  find_package(JPEG)
  set(DEEPSHIFT_LIBJPEG_REASON "libjpeg-turbo was not found")
  if(JPEG_FOUND)
    include(CheckSymbolExists)
    set(CMAKE_REQUIRED_INCLUDES ${JPEG_INCLUDE_DIRS})
    set(CMAKE_REQUIRED_LIBRARIES ${JPEG_LIBRARIES})
    check_symbol_exists(jpeg_skip_scanlines "stdio.h;jpeglib.h" DEEPSHIFT_HAS_JPEG_SKIP_SCANLINES)
    unset(CMAKE_REQUIRED_INCLUDES)
    unset(CMAKE_REQUIRED_LIBRARIES)
    set(DEEPSHIFT_WITH_LIBJPEG ${DEEPSHIFT_HAS_JPEG_SKIP_SCANLINES})
  endif()
endif()
