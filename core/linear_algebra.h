// Symmetric positive definite systems in f64, by LAPACK.
//
// Matrices are n x n, row-major and whole (both triangles).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ds {

/// A = L L^T.
class Cholesky {
 public:
  /// Nothing where the matrix is not positive definite.
  static std::optional<Cholesky> factor(std::vector<double> matrix, int64_t n);

  /// Solves A x = b for `count` right sides of n numbers each, one after the other, in place.
  void solve(double* b, int64_t count) const;
  /// A^-1, in the factor's place.
  std::vector<double> inverse() &&;
  /// L^T, upper triangular, zeros below; likewise.
  std::vector<double> upper() &&;

 private:
  Cholesky(std::vector<double> factor, int64_t n) : factor_(std::move(factor)), n_(n) {}

  std::vector<double> factor_;  // L^T in the upper triangle
  int64_t n_;
};

}  // namespace ds
