#include "core/cpu/kernels/select.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace ds::cpu {
namespace {

struct Kernels {
  const DepthwiseKernels* depthwise;
  const DirectKernels* direct;
  const WinogradKernels* winograd;
  const DirectKernels* direct_bf16;
  const WinogradKernels* winograd_bf16;
};

bool processor_has(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  }
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == Isa::kGeneric;
}

bool processor_has_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

const Kernels& kernels_of([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  static constexpr Kernels kAvx512Bf16{&kDepthwise__avx512, &kDirect__avx512, &kWinograd__avx512,
                                       &kDirect__avx512_bf16, &kWinograd__avx512_bf16};
  static constexpr Kernels kAvx512{&kDepthwise__avx512, &kDirect__avx512, &kWinograd__avx512,
                                   &kDirect__avx512_bf16_by_f32, &kWinograd__avx512_bf16_by_f32};
  static constexpr Kernels kAvx2{&kDepthwise__avx2, &kDirect__avx2, &kWinograd__avx2,
                                 &kDirect__avx2_bf16_by_f32, &kWinograd__avx2_bf16_by_f32};
  if (isa == Isa::kAvx512) return processor_has_bf16() ? kAvx512Bf16 : kAvx512;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  static constexpr Kernels kGeneric{&kDepthwise__generic, &kDirect__generic, &kWinograd__generic,
                                    &kDirect__generic_bf16_by_f32, &kWinograd__generic_bf16_by_f32};
  return kGeneric;
}

Isa checked(std::string_view text) {
  std::vector<std::string_view> names;
  for (const Isa candidate : available_isas()) {
    if (name_of(candidate) == text) return candidate;
    names.push_back(name_of(candidate));
  }
  fail("[isa] DEEPSHIFT_ISA is \"{}\", expected one that this processor has: {}", text,
       fmt::join(names, ", "));
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> value = [] {
    const char* text = std::getenv("DEEPSHIFT_ISA");
    return text == nullptr ? available_isas().front() : checked(text);
  }();
  return value;
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kGeneric: return "generic";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
  }
  return "?";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa candidate : {Isa::kAvx512, Isa::kAvx2, Isa::kGeneric}) {
    if (processor_has(candidate)) isas.push_back(candidate);
  }
  return isas;
}

Isa isa() { return current().load(std::memory_order_relaxed); }
void set_isa(Isa isa) { current() = checked(name_of(isa)); }

const DepthwiseKernels& depthwise_kernels() { return *kernels_of(isa()).depthwise; }

const DirectKernels& direct_kernels(Precision precision) {
  const Kernels& kernels = kernels_of(isa());
  return precision == Precision::kBf16 ? *kernels.direct_bf16 : *kernels.direct;
}

const WinogradKernels& winograd_kernels(Precision precision) {
  const Kernels& kernels = kernels_of(isa());
  return precision == Precision::kBf16 ? *kernels.winograd_bf16 : *kernels.winograd;
}

bool has_bf16_instructions() { return isa() == Isa::kAvx512 && processor_has_bf16(); }

}  // namespace ds::cpu

std::string_view ds::instruction_set() { return cpu::name_of(cpu::isa()); }
