#include "core/linear_algebra.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "core/cpu/blas.h"
#include "core/error.h"
#include "core/parallel.h"

// LAPACK's matrices are column-major: its upper triangle is our lower one, and its U of A = U^T U our L^T.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming): LAPACK's names
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dtrtri_(const char* uplo, const char* diag, const int* n, double* a, const int* lda, int* info);
// NOLINTEND(readability-identifier-naming)
}

namespace ds {
namespace {

constexpr char kUpper = 'U';
constexpr char kNotUnit = 'N';
constexpr int64_t kRows = 64;  // that are solved together

}  // namespace

std::optional<std::vector<double>> inverse_cholesky(std::vector<double> matrix, int64_t n) {
  DS_CHECK(static_cast<int64_t>(matrix.size()) == n * n, "[inverse_cholesky] {} numbers, expected {} x {}",
           matrix.size(), n, n);
  cpu::keep_blas_to_one_thread();
  const auto size = static_cast<int>(n);
  int info = 0;
  dpotrf_(&kUpper, &size, matrix.data(), &size, &info);
  if (info != 0) return std::nullopt;
  dtrtri_(&kUpper, &kNotUnit, &size, matrix.data(), &size, &info);
  if (info != 0) return std::nullopt;
  for (int64_t i = 0; i < n; ++i) std::fill_n(matrix.begin() + i * n + i + 1, n - i - 1, 0.0);
  return matrix;
}

void solve_rows(const std::vector<double>& inverse, double* rows, int64_t count) {
  cpu::keep_blas_to_one_thread();
  const auto n = static_cast<int>(std::llround(std::sqrt(static_cast<double>(inverse.size()))));
  parallel_for(count, kRows, [&](int64_t begin, int64_t end) {
    for (const CBLAS_TRANSPOSE turned : {CblasTrans, CblasNoTrans}) {
      cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, turned, CblasNonUnit, static_cast<int>(end - begin),
                  n, 1.0, inverse.data(), n, rows + begin * n, n);
    }
  });
}

}  // namespace ds
