// One matrix product on the calling thread: CBLAS behind a template over f32 and f64.
#pragma once

#include <cstdint>

namespace ds::cpu {

/// BLAS and LAPACK on the calling thread alone: their own threads would compete with ours, and would make the
/// bits depend on their number. For those that call them themselves.
void keep_blas_to_one_thread();

/// A row-major matrix as an operand: `pitch` elements from one stored row to the next.
template <class T>
struct MatrixView {
  const T* data;
  int64_t pitch;
  bool transpose = false;
};

/// y = alpha op(a) op(b), or y += alpha op(a) op(b), with y rows x columns, row-major, y_pitch elements
/// between rows, and sums over `depth`. y is not read unless it is added to. T: float or double. Throws Error
/// when a size does not fit into BLAS's integers.
template <class T>
struct MatrixProduct {
  int64_t rows;
  int64_t columns;
  int64_t depth;
  MatrixView<T> a;
  MatrixView<T> b;
  T* y;
  int64_t y_pitch;
  T alpha = T(1);
  bool adds = false;  // to what y holds
};

void blas_gemm(const MatrixProduct<float>& product);
void blas_gemm(const MatrixProduct<double>& product);

}  // namespace ds::cpu
