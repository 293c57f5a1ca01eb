# How everything of this project is compiled: warnings, the processor, sanitizers.
include(CheckCXXCompilerFlag)

# A compiler cache where there is one: presets compile much of the same.
find_program(DEEPSHIFT_CCACHE ccache)
mark_as_advanced(DEEPSHIFT_CCACHE)
if(DEEPSHIFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${DEEPSHIFT_CCACHE})
endif()

if(DEEPSHIFT_NATIVE)
  check_cxx_compiler_flag(-march=native DEEPSHIFT_HAS_MARCH_NATIVE)
  check_cxx_compiler_flag(-mcpu=native DEEPSHIFT_HAS_MCPU_NATIVE)  # some compilers for ARM know only this one
  if(DEEPSHIFT_HAS_MARCH_NATIVE)
    set(DEEPSHIFT_NATIVE_FLAG -march=native)
  elseif(DEEPSHIFT_HAS_MCPU_NATIVE)
    set(DEEPSHIFT_NATIVE_FLAG -mcpu=native)
  endif()
endif()

# The library, the apps and the tests take the same flags, so that an inline function of a header is compiled
# alike wherever the linker takes it from.
function(deepshift_compile_options target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;${DEEPSHIFT_NATIVE_FLAG}>)
  # Nobody reads errno or the exception flags of float operations; keeping them exact keeps loops from vectorising.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-math-errno;-fno-trapping-math>)
  # fmt takes nvcc for a compiler without constexpr, and would then fail to check its format strings.
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)  # std::bit_cast there
  if(DEEPSHIFT_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(DEEPSHIFT_SANITIZE)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${DEEPSHIFT_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>)
    target_link_options(${target} PUBLIC -fsanitize=${DEEPSHIFT_SANITIZE})
  endif()
endfunction()
