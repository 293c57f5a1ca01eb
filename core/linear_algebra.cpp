#include "core/linear_algebra.h"

#include <utility>

#include "core/cpu/blas.h"
#include "core/error.h"

// LAPACK's matrices are column-major: its lower triangle is our upper one.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming): LAPACK's names
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dpotri_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dpotrs_(const char* uplo, const int* n, const int* columns, const double* a, const int* lda, double* b,
             const int* ldb, int* info);
// NOLINTEND(readability-identifier-naming)
}

namespace ds {
namespace {

constexpr char kLower = 'L';

}  // namespace

std::optional<Cholesky> Cholesky::factor(std::vector<double> matrix, int64_t n) {
  DS_CHECK(static_cast<int64_t>(matrix.size()) == n * n, "[cholesky] {} numbers, expected {} x {}",
           matrix.size(), n, n);
  cpu::keep_blas_to_one_thread();
  const auto size = static_cast<int>(n);
  int info = 0;
  dpotrf_(&kLower, &size, matrix.data(), &size, &info);
  if (info != 0) return std::nullopt;
  return Cholesky(std::move(matrix), n);
}

void Cholesky::solve(double* b, int64_t count) const {
  const auto size = static_cast<int>(n_);
  const auto columns = static_cast<int>(count);
  int info = 0;
  dpotrs_(&kLower, &size, &columns, factor_.data(), &size, b, &size, &info);
  DS_CHECK(info == 0, "[cholesky] dpotrs refused its argument {}", -info);
}

std::vector<double> Cholesky::inverse() && {
  std::vector<double> result = std::move(factor_);
  const auto size = static_cast<int>(n_);
  int info = 0;
  dpotri_(&kLower, &size, result.data(), &size, &info);
  DS_CHECK(info == 0, "[cholesky] the factor has a zero on its diagonal, at {}", info);
  for (int64_t i = 0; i < n_; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      result[static_cast<size_t>(i * n_ + j)] = result[static_cast<size_t>(j * n_ + i)];
    }
  }
  return result;
}

std::vector<double> Cholesky::upper() && {
  std::vector<double> result = std::move(factor_);
  for (int64_t i = 0; i < n_; ++i) {
    for (int64_t j = 0; j < i; ++j) result[static_cast<size_t>(i * n_ + j)] = 0.0;
  }
  return result;
}

}  // namespace ds
