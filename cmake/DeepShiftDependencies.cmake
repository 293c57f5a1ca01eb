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

# For the loaders of photographs, which are not written yet: nothing is linked.
find_package(JPEG QUIET)
find_path(DEEPSHIFT_STB_FOLDER stb_image.h PATH_SUFFIXES stb)
mark_as_advanced(DEEPSHIFT_STB_FOLDER)
