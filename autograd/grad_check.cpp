#include "autograd/grad_check.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/random.h"

namespace ds {
namespace {

using Function = std::function<Variable(const std::vector<Variable>&)>;

/// The function's output, weighted with fixed random numbers and summed: a scalar whose gradient has no
/// symmetry that could hide an error.
class WeightedSum {
 public:
  explicit WeightedSum(const Function& function) : function_(function) {}

  Variable operator()(const std::vector<Variable>& inputs) {
    const Variable output = function_(inputs);
    if (!weights_.defined()) {
      weights_ = Tensor::empty(output.shape(), output.dtype());
      Generator generator(1);
      fill_uniform(weights_, 0.5, 1.5, generator);
      weights_ = weights_.to(output.device());
    }
    return sum(multiply(output, weights_));
  }

 private:
  const Function& function_;
  Tensor weights_;
};

/// One element of an input, changed for as long as this lives.
class Nudge {
 public:
  Nudge(Variable input, int64_t element, double amount)
      : element_(input.mutable_value().data<double>() + element), before_(*element_) {
    *element_ += amount;
  }
  ~Nudge() { *element_ = before_; }
  Nudge(const Nudge&) = delete;
  Nudge& operator=(const Nudge&) = delete;

 private:
  double* element_;
  double before_;
};

double numeric_gradient(WeightedSum& scalar, const std::vector<Variable>& inputs, size_t input,
                        int64_t element, double step) {
  const auto at = [&](double amount) {
    const Nudge nudge(inputs[input], element, amount);
    return scalar(inputs).item();
  };
  return (at(step) - at(-step)) / (2.0 * step);
}

/// The gradients of backward(), zeros where it reached nothing.
std::vector<std::vector<double>> analytic_gradients(WeightedSum& scalar,
                                                    const std::vector<Variable>& inputs) {
  for (Variable input : inputs) input.zero_grad();
  const Variable root = scalar(inputs);
  if (root.requires_grad()) root.backward();
  std::vector<std::vector<double>> result;
  for (Variable input : inputs) {
    const auto count = static_cast<size_t>(input.value().numel());
    result.push_back(input.grad().defined() ? input.grad().to_vector<double>() : std::vector<double>(count));
    input.zero_grad();
  }
  return result;
}

void check_inputs(const std::vector<Variable>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    DS_CHECK(inputs[i].requires_grad() && !inputs[i].node() && inputs[i].dtype() == DType::kF64 &&
                 inputs[i].device() == Device{},
             "[grad_check] input {} is not an f64 leaf on the CPU that requires a gradient", i);
  }
}

}  // namespace

GradCheckResult grad_check(const Function& function, const std::vector<Variable>& inputs,
                           const GradCheckOptions& options) {
  check_inputs(inputs);
  WeightedSum scalar(function);
  const auto analytic = analytic_gradients(scalar, inputs);
  const NoGrad no_grad;
  GradCheckResult result{.passed = true, .message = "no element differs"};
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<double> numeric(analytic[i].size());
    for (size_t e = 0; e < numeric.size(); ++e) {
      numeric[e] = numeric_gradient(scalar, inputs, i, static_cast<int64_t>(e), options.step);
    }
    double largest = 1.0;
    for (const double value : numeric) largest = std::max(largest, std::abs(value));
    for (size_t e = 0; e < numeric.size(); ++e) {
      const double error = std::abs(analytic[i][e] - numeric[e]) / largest;
      if (error <= result.worst_error || std::isnan(result.worst_error)) continue;  // a NaN stays the worst
      result.worst_error = error;
      result.message = fmt::format("input {} element {}: found {}, expected {} (relative error {:.2e})", i, e,
                                   analytic[i][e], numeric[e], error);
    }
  }
  result.passed = result.worst_error <= options.tolerance;
  return result;
}

}  // namespace ds
