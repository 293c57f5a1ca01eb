# Micro-kernels: one source an algorithm, compiled once an instruction set, chosen at run time
# (core/cpu/kernels/select).
set_source_files_properties(core/cpu/kernels/direct_generic.cpp PROPERTIES COMPILE_OPTIONS "-O3")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(core/cpu/kernels/direct_avx2.cpp PROPERTIES COMPILE_OPTIONS "-O3;-mavx2;-mfma")
  set_source_files_properties(core/cpu/kernels/direct_avx512.cpp PROPERTIES COMPILE_OPTIONS
    "-O3;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mfma;-mprefer-vector-width=512")
else()
  set_source_files_properties(core/cpu/kernels/direct_avx2.cpp core/cpu/kernels/direct_avx512.cpp PROPERTIES HEADER_FILE_ONLY ON)
endif()
