// Symmetric positive definite systems in f64, by LAPACK and BLAS.
//
// Matrices are n x n and row-major.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ds {

/// L^-1, lower triangular with zeros above, of A = L L^T: A^-1 = L^-T L^-1. Nothing where A, of which the
/// lower triangle is read, is not positive definite.
std::optional<std::vector<double>> inverse_cholesky(std::vector<double> matrix, int64_t n);

/// b A^-1 in place of each of `count` rows b of n numbers, with L^-1 from inverse_cholesky().
void solve_rows(const std::vector<double>& inverse, double* rows, int64_t count);

}  // namespace ds
