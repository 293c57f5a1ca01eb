// Matrix products by BLAS: y is cut into blocks by shape alone, and BLAS computes each on one thread.
#include <cblas.h>

#include <algorithm>
#include <limits>

#include "core/cpu/blas.h"
#include "core/cpu/engines.h"
#include "core/error.h"
#include "core/parallel.h"

// Null when the BLAS found is not OpenBLAS, whose header declares it, but not as a symbol that may be absent.
// NOLINTNEXTLINE(readability-redundant-declaration)
extern "C" void openblas_set_num_threads(int count) __attribute__((weak));

namespace ds::cpu {
namespace {

constexpr int64_t kBlockRows = 128;  // a block packs its operands anew: this many rows and columns pay for it
constexpr int64_t kBlockColumns = 256;

int blas_int(int64_t size) {
  DS_CHECK(size <= std::numeric_limits<int>::max(), "[gemm] a size of {}, expected at most {}", size,
           std::numeric_limits<int>::max());
  return static_cast<int>(size);
}

int pitch_of(int64_t pitch) { return std::max(1, blas_int(pitch)); }

CBLAS_TRANSPOSE flag_of(bool transpose) { return transpose ? CblasTrans : CblasNoTrans; }

constexpr auto gemm_of(float) { return cblas_sgemm; }
constexpr auto gemm_of(double) { return cblas_dgemm; }
constexpr auto gemv_of(float) { return cblas_sgemv; }
constexpr auto gemv_of(double) { return cblas_dgemv; }

/// One row of y: a matrix product would first copy the whole of b, which costs more than the product.
template <class T>
void multiply_row(const MatrixProduct<T>& p) {
  if (!p.adds) std::fill_n(p.y, p.columns, T(0));
  const bool transpose = !p.b.transpose;  // y^T = op(b)^T a^T
  gemv_of(T{})(CblasRowMajor, flag_of(transpose), blas_int(transpose ? p.depth : p.columns),
               blas_int(transpose ? p.columns : p.depth), p.alpha, p.b.data, pitch_of(p.b.pitch), p.a.data,
               p.a.transpose ? pitch_of(p.a.pitch) : 1, T(1), p.y, 1);
}

template <class T>
void multiply(const MatrixProduct<T>& p) {
  keep_blas_to_one_thread();
  if (p.rows == 0 || p.columns == 0) return;
  if (p.rows == 1 && p.depth > 0) return multiply_row(p);
  gemm_of(T{})(CblasRowMajor, flag_of(p.a.transpose), flag_of(p.b.transpose), blas_int(p.rows),
               blas_int(p.columns), blas_int(p.depth), p.alpha, p.a.data, pitch_of(p.a.pitch), p.b.data,
               pitch_of(p.b.pitch), p.adds ? T(1) : T(0), p.y, pitch_of(p.y_pitch));
}

/// The part of an operand that begins at a row (of op(a)) or column (of op(b)) of y.
template <class T>
MatrixView<T> from_row(MatrixView<T> a, int64_t row) {
  a.data += a.transpose ? row : row * a.pitch;
  return a;
}
template <class T>
MatrixView<T> from_column(MatrixView<T> b, int64_t column) {
  b.data += b.transpose ? column * b.pitch : column;
  return b;
}

}  // namespace

void keep_blas_to_one_thread() {
  static const bool done = [] {
    if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

void blas_gemm(const MatrixProduct<float>& product) { multiply(product); }
void blas_gemm(const MatrixProduct<double>& product) { multiply(product); }

void gemm_openblas(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  const int64_t rows = y.size(0);
  const int64_t columns = y.size(1);
  const int64_t column_blocks = chunk_count(columns, kBlockColumns);
  dispatch_float(y.dtype(), "gemm", [&](auto zero) {
    using T = decltype(zero);
    const MatrixView<T> a_view{.data = a.data<T>(), .pitch = a.size(1), .transpose = options.transpose_a};
    const MatrixView<T> b_view{.data = b.data<T>(), .pitch = b.size(1), .transpose = options.transpose_b};
    T* y_data = y.data<T>();
    parallel_chunks(chunk_count(rows, kBlockRows) * column_blocks, [&](int64_t block) {
      const int64_t row = block / column_blocks * kBlockRows;
      const int64_t column = block % column_blocks * kBlockColumns;
      blas_gemm({.rows = std::min(kBlockRows, rows - row),
                 .columns = std::min(kBlockColumns, columns - column),
                 .depth = a.size(options.transpose_a ? 0 : 1),
                 .a = from_row(a_view, row),
                 .b = from_column(b_view, column),
                 .y = y_data + row * columns + column,
                 .y_pitch = columns,
                 .alpha = static_cast<T>(options.alpha)});
    });
  });
}

}  // namespace ds::cpu
