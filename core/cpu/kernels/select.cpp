#include "core/cpu/kernels/select.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace ds::cpu {
namespace {

/// The kernels of an instruction set; null when this build or this processor does not have it.
const DirectKernels* find_direct_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) {
    const bool found = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    return found ? &kDirect__avx512 : nullptr;
  }
  if (isa == Isa::kAvx2) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kDirect__avx2 : nullptr;
  }
#endif
  return isa == Isa::kGeneric ? &kDirect__generic : nullptr;
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
    if (find_direct_kernels(candidate) != nullptr) isas.push_back(candidate);
  }
  return isas;
}

Isa isa() { return current().load(std::memory_order_relaxed); }
void set_isa(Isa isa) { current() = checked(name_of(isa)); }

const DirectKernels& direct_kernels() { return *find_direct_kernels(isa()); }

}  // namespace ds::cpu
