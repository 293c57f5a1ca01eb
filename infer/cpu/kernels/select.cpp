#include "infer/cpu/kernels/select.h"

#include <algorithm>

namespace ds::infer {
namespace {

#if defined(__x86_64__)
constexpr IntegerKernels kAvx512Vbmi{"avx512vbmi", cpu::Isa::kAvx512, &kPacked__avx512vbmi,
                                     &kRows__avx512vbmi};
constexpr IntegerKernels kAvx512Vnni{"avx512vnni", cpu::Isa::kAvx512, &kPacked__avx512vnni,
                                     &kRows__avx512vnni};
constexpr IntegerKernels kAvx2{"avx2", cpu::Isa::kAvx2, &kPacked__avx2, &kRows__avx2};
#endif
constexpr IntegerKernels kGeneric{"generic", cpu::Isa::kGeneric, &kPacked__generic, &kRows__generic};

std::vector<const IntegerKernels*> kernels_of([[maybe_unused]] cpu::Isa isa) {
#if defined(__x86_64__)
  if (isa == cpu::Isa::kAvx512) {
    if (!__builtin_cpu_supports("avx512vnni")) return {};
    if (!__builtin_cpu_supports("avx512vbmi")) return {&kAvx512Vnni};
    return {&kAvx512Vbmi, &kAvx512Vnni};
  }
  if (isa == cpu::Isa::kAvx2) return {&kAvx2};
#endif
  return {&kGeneric};
}

}  // namespace

std::vector<const IntegerKernels*> available_integer_kernels() {
  std::vector<const IntegerKernels*> kernels;
  for (const cpu::Isa isa : cpu::available_isas()) {
    const std::vector<const IntegerKernels*> some = kernels_of(isa);
    kernels.insert(kernels.end(), some.begin(), some.end());
  }
  return kernels;
}

const IntegerKernels& integer_kernels() {
  const cpu::Isa isa = cpu::isa();
  const std::vector<const IntegerKernels*> kernels = available_integer_kernels();
  return **std::ranges::find_if(kernels, [isa](const IntegerKernels* some) { return some->isa <= isa; });
}

}  // namespace ds::infer
