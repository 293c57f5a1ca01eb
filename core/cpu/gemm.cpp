// The kernel gemm: the engine decides. The native engine has no matrix product of its own.
#include "core/backend.h"
#include "core/cpu/engines.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {

void gemm(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  switch (engine()) {
    case Engine::kReference: return gemm_reference(a, b, options, y);
    case Engine::kOpenBlas:
    case Engine::kNative: return gemm_openblas(a, b, options, y);
  }
}

}  // namespace ds::cpu
