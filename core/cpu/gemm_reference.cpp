// The judge of matrix products: three loops, added in double.
#include <algorithm>

#include "core/cpu/engines.h"
#include "core/parallel.h"

namespace ds::cpu {

void gemm_reference(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  const int64_t columns = y.size(1);
  const int64_t depth = a.size(options.transpose_a ? 0 : 1);
  // Elements from one to the next along the rows or columns of y, and along the sum.
  const int64_t a_row = options.transpose_a ? 1 : a.size(1);
  const int64_t a_step = options.transpose_a ? a.size(1) : 1;
  const int64_t b_column = options.transpose_b ? b.size(1) : 1;
  const int64_t b_step = options.transpose_b ? 1 : b.size(1);
  dispatch_float(y.dtype(), "gemm", [&](auto zero) {
    using T = decltype(zero);
    const T* a_data = a.data<T>();
    const T* b_data = b.data<T>();
    T* y_data = y.data<T>();
    const int64_t grain = std::max<int64_t>(1, kElementwiseGrain / std::max<int64_t>(1, columns * depth));
    parallel_for(y.size(0), grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          double sum = 0.0;
          for (int64_t k = 0; k < depth; ++k) {
            sum += static_cast<double>(a_data[i * a_row + k * a_step]) *
                   static_cast<double>(b_data[j * b_column + k * b_step]);
          }
          y_data[i * columns + j] = static_cast<T>(options.alpha * sum);
        }
      }
    });
  });
}

}  // namespace ds::cpu
