#include "autograd/optim/muon.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

constexpr int kSteps = 5;
// Of the quintic whose slope at 0 is the steepest that still keeps singular values about 1 (Jordan et al.)
constexpr double kLinear = 3.4445;
constexpr double kCubic = -4.7750;
constexpr double kQuintic = 2.0315;
constexpr double kEpsilon = 1e-7;  // keeps a zero gradient from becoming NaN

std::vector<ParameterGroup> join(const MuonGroups& groups) {
  std::vector<ParameterGroup> all = groups.matrices;
  all.insert(all.end(), groups.others.begin(), groups.others.end());
  return all;
}

/// So that the elements of an update have the root mean square kUpdateSize, whatever the matrix's shape: then
/// all filters settle at the same size too.
constexpr double kUpdateSize = 0.2;

double update_scale(int64_t rows, int64_t columns) {
  return kUpdateSize * std::sqrt(static_cast<double>(std::max(rows, columns)));
}

}  // namespace

Tensor orthogonalize(const Tensor& matrix) {
  DS_CHECK(matrix.rank() == 2, "[orthogonalize] shape is {}, expected two axes", matrix.shape().str());
  const bool tall = matrix.size(0) > matrix.size(1);  // then x^T x is the smaller product
  Tensor x = ops::affine(matrix, 1.0 / (std::sqrt(ops::sum_squares(matrix)) + kEpsilon), 0.0);
  for (int step = 0; step < kSteps; ++step) {
    const Tensor square = ops::gemm(x, x, {.transpose_a = tall, .transpose_b = !tall});
    Tensor polynomial = ops::gemm(square, square, {.alpha = kQuintic});
    ops::accumulate(square, kCubic, polynomial);
    Tensor next = tall ? ops::gemm(x, polynomial) : ops::gemm(polynomial, x);
    ops::accumulate(x, kLinear, next);
    x = std::move(next);
  }
  return x;
}

Muon::Muon(const MuonGroups& groups, const MuonOptions& options)
    : Optimizer(join(groups), options.lr, {"momentum"}),
      matrix_groups_(groups.matrices.size()),
      options_(options) {
  DS_CHECK(options.momentum >= 0.0 && options.momentum < 1.0,
           "[muon] momentum is {}, expected 0 <= momentum < 1", options.momentum);
  for (const ParameterGroup& group : groups.matrices) {
    for (const Variable& parameter : group.parameters) {
      DS_CHECK(parameter.shape().rank() >= 2, "[muon] a matrix has shape {}, expected two axes or more",
               parameter.shape().str());
    }
  }
}

std::string Muon::describe() const {
  return fmt::format("Muon(lr {}, momentum {})", lr(), options_.momentum);
}

bool Muon::holds_matrices(const ParameterGroup& group) const {
  return &group < groups().data() + matrix_groups_;
}

void Muon::update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
                  Slots& slots) {
  Tensor& momentum = slots.tensors[0];
  if (!holds_matrices(group)) {
    ops::sgd_step(gradient,
                  {.lr = lr,
                   .momentum = options_.momentum,
                   .weight_decay = group.weight_decay,
                   .nesterov = true,
                   .first_step = slots.updates == 1},
                  parameter, momentum);
    return;
  }
  momentum = ops::affine(momentum, options_.momentum, 0.0);
  ops::accumulate(gradient, 1.0, momentum);
  Tensor direction = ops::affine(momentum, options_.momentum, 0.0);
  ops::accumulate(gradient, 1.0, direction);

  const int64_t rows = parameter.size(0);
  const int64_t columns = parameter.numel() / rows;
  const Tensor step = orthogonalize(direction.reshape({rows, columns})).reshape(parameter.shape());
  ops::accumulate(parameter, -lr * group.weight_decay, parameter);
  ops::accumulate(step, -lr * update_scale(rows, columns), parameter);
}

}  // namespace ds
