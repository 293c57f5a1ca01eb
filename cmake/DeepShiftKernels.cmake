# Micro-kernels: one source an algorithm, compiled once an instruction set, chosen at run time
# (core/cpu/kernels/select, infer/cpu/kernels/select).
# Vectors wider than the processor's own are handed from function to function only within one source: no matter how.
set(DEEPSHIFT_ISA_OPTIONS_generic "-O3;-Wno-psabi")
# What the build machine has beyond a set is left out by name: -march=native may stand before. (AVX2 with the registers of
# AVX-512 would hide sums that spill elsewhere.)
set(DEEPSHIFT_ISA_OPTIONS_avx2 "-O3;-mavx2;-mfma;-mno-avx512f;-Wno-psabi")
set(DEEPSHIFT_ISA_OPTIONS_avx512 "-O3;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mfma;-mprefer-vector-width=512")
set(DEEPSHIFT_ISA_OPTIONS_avx512_bf16 "${DEEPSHIFT_ISA_OPTIONS_avx512};-mavx512bf16")
foreach(isa generic avx2 avx512)
  set(DEEPSHIFT_ISA_OPTIONS_${isa}_bf16_by_f32 "${DEEPSHIFT_ISA_OPTIONS_${isa}}")
endforeach()
# (One region for the registers of a function: by loops, g++ 12 copies a sum to and fro in a third of the inner ones.)
set(DEEPSHIFT_ISA_OPTIONS_avx512vnni
    "${DEEPSHIFT_ISA_OPTIONS_avx512};-mavx512vnni;-mno-avx512vbmi;$<$<CXX_COMPILER_ID:GNU>:-fira-region=all>")
set(DEEPSHIFT_ISA_OPTIONS_avx512vbmi "${DEEPSHIFT_ISA_OPTIONS_avx512vnni};-mavx512vbmi")

# Compiles FOLDER/ALGORITHM_ISA.cpp for its instruction set, or leaves it out where the processor has no such set.
function(deepshift_kernel folder algorithm isa)
  set(source ${folder}/${algorithm}_${isa}.cpp)
  if(isa MATCHES "^generic" OR CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${DEEPSHIFT_ISA_OPTIONS_${isa}}")
  else()
    set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
  endif()
endfunction()

foreach(isa generic avx2 avx512)
  foreach(algorithm depthwise direct winograd)
    deepshift_kernel(core/cpu/kernels ${algorithm} ${isa})
  endforeach()
endforeach()
foreach(algorithm direct winograd)  # depthwise has no sum over channels to take two values of
  foreach(isa avx512_bf16 avx512_bf16_by_f32 avx2_bf16_by_f32 generic_bf16_by_f32)
    deepshift_kernel(core/cpu/kernels ${algorithm} ${isa})
  endforeach()
endforeach()
foreach(isa generic avx2 avx512vnni avx512vbmi)
  foreach(algorithm packed rows)
    deepshift_kernel(infer/cpu/kernels ${algorithm} ${isa})
  endforeach()
endforeach()
