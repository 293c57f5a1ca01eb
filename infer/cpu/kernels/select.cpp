#include "infer/cpu/kernels/select.h"

#include "core/cpu/kernels/select.h"

namespace ds::infer {
namespace {

#if defined(__x86_64__)
bool has_byte_dot_products() {
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}
#endif

}  // namespace

const IntegerKernels& integer_kernels() {
#if defined(__x86_64__)
  static constexpr IntegerKernels kAvx512{"avx512vnni", &kPacked__avx512vnni, &kRows__avx512vnni};
  static constexpr IntegerKernels kAvx2{"avx2", &kPacked__avx2, &kRows__avx2};
  if (cpu::isa() == cpu::Isa::kAvx512 && has_byte_dot_products()) return kAvx512;
  if (cpu::isa() != cpu::Isa::kGeneric) return kAvx2;
#endif
  static constexpr IntegerKernels kGeneric{"generic", &kPacked__generic, &kRows__generic};
  return kGeneric;
}

}  // namespace ds::infer
