#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/reduction.h"
#include "core/error.h"

namespace ds::cpu {
namespace {

/// p = softmax(x) of one row; returns log sum exp(x - max) and the maximum, whose sum is log sum exp(x).
template <class T>
struct LogSum {
  T maximum;
  T log_sum;
};

template <class T>
LogSum<T> softmax_row(int64_t columns, const T* x, T* p) {
  const T maximum = *std::max_element(x, x + columns);
  double sum = 0.0;
  for (int64_t c = 0; c < columns; ++c) {
    p[c] = std::exp(x[c] - maximum);
    sum += static_cast<double>(p[c]);
  }
  const T inverse = static_cast<T>(1.0 / sum);
  for (int64_t c = 0; c < columns; ++c) p[c] *= inverse;
  return {.maximum = maximum, .log_sum = static_cast<T>(std::log(sum))};
}

}  // namespace

void softmax(const Tensor& x, Tensor& y) {
  const int64_t columns = x.size(-1);
  dispatch_float(x.dtype(), "softmax", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.shape().rows(), rows_per_chunk(columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        softmax_row(columns, in + row * columns, out + row * columns);
    });
  });
}

void one_hot(const Tensor& labels, double smoothing, Tensor& y) {
  const int64_t classes = y.size(1);
  const int64_t* label = labels.data<int64_t>();
  for (int64_t row = 0; row < labels.numel(); ++row) {
    DS_CHECK(label[row] >= 0 && label[row] < classes, "[one_hot] row {} has label {}, expected 0 to {}", row,
             label[row], classes - 1);
  }
  dispatch_float(y.dtype(), "one_hot", [&](auto zero) {
    using T = decltype(zero);
    const double share = smoothing / static_cast<double>(classes);
    T* out = y.data<T>();
    parallel_for(labels.numel(), rows_per_chunk(classes), [&](int64_t begin, int64_t end) {
      std::fill(out + begin * classes, out + end * classes, static_cast<T>(share));
      for (int64_t row = begin; row < end; ++row) {
        out[row * classes + label[row]] = static_cast<T>(1.0 - smoothing + share);
      }
    });
  });
}

// loss = mean over rows of sum_c t_c ((max - x_c) + log sum exp(x - max)): exact however large the logits
// are. A target of 0 contributes nothing, also at a logit of -infinity.
void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& loss, Tensor& probabilities) {
  const int64_t rows = logits.size(0);
  const int64_t columns = logits.size(1);
  dispatch_float(logits.dtype(), "cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    const T* in = logits.data<T>();
    const T* target = targets.data<T>();
    T* out = probabilities.data<T>();
    std::vector<double> row_loss(static_cast<size_t>(rows));
    parallel_for(rows, rows_per_chunk(columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* x = in + row * columns;
        const T* t = target + row * columns;
        const auto [maximum, log_sum] = softmax_row(columns, x, out + row * columns);
        double sum = 0.0;
        for (int64_t c = 0; c < columns; ++c) {
          if (t[c] != T{0})
            sum += static_cast<double>(t[c]) * static_cast<double>((maximum - x[c]) + log_sum);
        }
        row_loss[static_cast<size_t>(row)] = sum;
      }
    });
    double total = 0.0;
    for (const double value : row_loss) total += value;
    *loss.data<T>() = static_cast<T>(total / static_cast<double>(rows));
  });
}

// A row of targets need not sum to 1: dx_c = (p_c sum(t) - t_c) dloss / N.
void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& targets,
                            Tensor& dx) {
  const int64_t columns = dx.size(1);
  dispatch_float(dx.dtype(), "cross_entropy_backward", [&](auto zero) {
    using T = decltype(zero);
    const T scale = *dloss.data<T>() / static_cast<T>(dx.size(0));
    parallel_for(dx.size(0), rows_per_chunk(columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* p = probabilities.data<T>() + row * columns;
        const T* t = targets.data<T>() + row * columns;
        T* out = dx.data<T>() + row * columns;
        const T total = static_cast<T>(std::accumulate(t, t + columns, 0.0));
        for (int64_t c = 0; c < columns; ++c) out[c] = (p[c] * total - t[c]) * scale;
      }
    });
  });
}

}  // namespace ds::cpu
