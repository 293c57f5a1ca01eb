# Micro-kernels: one source an algorithm, compiled once an instruction set, chosen at run time
# (core/cpu/kernels/select).
set(DEEPSHIFT_ISA_OPTIONS_generic "-O3")
set(DEEPSHIFT_ISA_OPTIONS_avx2 "-O3;-mavx2;-mfma")
set(DEEPSHIFT_ISA_OPTIONS_avx512 "-O3;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mfma;-mprefer-vector-width=512")
set(DEEPSHIFT_ISA_OPTIONS_avx512_bf16 "${DEEPSHIFT_ISA_OPTIONS_avx512};-mavx512bf16")
foreach(isa generic avx2 avx512 avx512_bf16)
  foreach(algorithm depthwise direct winograd)
    if(isa STREQUAL avx512_bf16 AND algorithm STREQUAL depthwise)
      continue()  # has no sum over channels to take two values of
    endif()
    set(source core/cpu/kernels/${algorithm}_${isa}.cpp)
    if(isa STREQUAL generic OR CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${DEEPSHIFT_ISA_OPTIONS_${isa}}")
    else()
      set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
    endif()
  endforeach()
endforeach()
