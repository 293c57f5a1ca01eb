// The kernel gemm: the engine decides. The native one leaves to BLAS what its own kernels are slower at.
#include "core/backend.h"
#include "core/cpu/engines.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {

void gemm(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  switch (engine()) {
    case Engine::kReference: return gemm_reference(a, b, options, y);
    case Engine::kNative:
      if (suits_gemm_native(a, options, y)) return gemm_native(a, b, options, y);
      [[fallthrough]];
    case Engine::kOpenBlas: return gemm_openblas(a, b, options, y);
  }
}

}  // namespace ds::cpu
