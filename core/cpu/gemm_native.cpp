// Matrix products as 1x1 convolutions of images of one pixel, with the micro-kernels of the convolutions.
#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/engines.h"
#include "core/cpu/kernels/select.h"

namespace ds::cpu {
namespace {

// With fewer rows, packing b costs more than BLAS's packing does: measured on the layers of
// bench/shapes/linear.txt; products with a turned round, as in weight gradients, are BLAS's in any case.
constexpr int64_t kFewestRows = 32;

/// The rows of a matrix as images.
Tensor images_of(const Tensor& matrix) { return matrix.reshape({matrix.size(0), 1, 1, matrix.size(1)}); }

}  // namespace

bool suits_gemm_native(const Tensor& a, const GemmOptions& options, const Tensor& y) {
  return isa() != Isa::kGeneric && y.dtype() == DType::kF32 && !options.transpose_a && options.alpha == 1.0 &&
         y.size(0) >= kFewestRows && y.size(1) > 0 && a.size(1) > 0;
}

void gemm_native(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  Tensor products = images_of(y);
  if (options.transpose_b) {
    conv2d_native(images_of(a), images_of(b), {}, {}, Precision::kF32, products);
  } else {
    conv2d_backward_data_native(images_of(a), images_of(b), {}, Precision::kF32, products);
  }
}

}  // namespace ds::cpu
