// Batch normalisation over rows of channels. Every sum is made a chunk of rows at a time, four rows in the
// element type and then in double, and the chunks are merged in order.
#include <cmath>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/reduction.h"

namespace ds::cpu {
namespace {

/// Mean and sum of squared deviations of a number of values.
struct Moments {
  double count = 0.0;
  double mean = 0.0;
  double m2 = 0.0;

  /// Joins two disjoint sets of values (Chan, Golub & LeVeque 1979).
  void merge(const Moments& other) {
    const double total = count + other.count;
    const double delta = other.mean - mean;
    mean += delta * (other.count / total);
    m2 += other.m2 + delta * delta * (count * other.count / total);
    count = total;
  }
};

/// Rows that are worked on side by side, as one row of more channels: with few channels a loop over them is
/// all beginning and end.
int64_t side_by_side(int64_t rows, int64_t channels) {
  constexpr int64_t kWide = 64;
  int64_t repeat = 1;
  while (2 * repeat * channels <= kWide && rows % (2 * repeat) == 0) repeat *= 2;
  return repeat;
}

/// The values of the channels, `repeat` times.
template <class T>
std::vector<T> tiled(const T* values, int64_t channels, int64_t repeat) {
  std::vector<T> result;
  result.reserve(static_cast<size_t>(channels * repeat));
  for (int64_t i = 0; i < repeat; ++i) result.insert(result.end(), values, values + channels);
  return result;
}

template <class T>
void add_rows(int64_t rows, int64_t channels, const T* __restrict x, double* __restrict sum) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const T* __restrict r = x + row * channels;
    for (int64_t c = 0; c < channels; ++c) {
      sum[c] += static_cast<double>((r[c] + r[channels + c]) + (r[2 * channels + c] + r[3 * channels + c]));
    }
  }
  for (; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(x[row * channels + c]);
  }
}

/// Sums of x - center and of its square.
template <class T>
void add_deviations(int64_t rows, int64_t channels, const T* __restrict x, const T* __restrict center,
                    double* __restrict sum, double* __restrict squares) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const T* __restrict r = x + row * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const T d0 = r[c] - center[c];
      const T d1 = r[channels + c] - center[c];
      const T d2 = r[2 * channels + c] - center[c];
      const T d3 = r[3 * channels + c] - center[c];
      sum[c] += static_cast<double>((d0 + d1) + (d2 + d3));
      squares[c] += static_cast<double>((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3));
    }
  }
  for (; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const T d = x[row * channels + c] - center[c];
      sum[c] += static_cast<double>(d);
      squares[c] += static_cast<double>(d * d);
    }
  }
}

/// Moments of one chunk in two passes, the second from the cache: robust against means far from zero.
template <class T>
void chunk_moments(int64_t rows, int64_t channels, const T* x, Moments* moments) {
  const auto size = static_cast<size_t>(channels);
  std::vector<double> sum(size);
  std::vector<double> squares(size);
  std::vector<T> center(size);
  const auto count = static_cast<double>(rows);
  add_rows(rows, channels, x, sum.data());
  for (size_t c = 0; c < size; ++c) center[c] = static_cast<T>(sum[c] / count);
  std::fill(sum.begin(), sum.end(), 0.0);
  add_deviations(rows, channels, x, center.data(), sum.data(), squares.data());
  for (size_t c = 0; c < size; ++c) {
    moments[c] = {.count = count,
                  .mean = static_cast<double>(center[c]) + sum[c] / count,
                  .m2 = squares[c] - sum[c] * sum[c] / count};
  }
}

/// The gradient that reaches the normalisation: dy, or with a ReLU dy where y is above 0.
template <bool kRelu, class T>
T passed(T dy, T y) {
  return !kRelu || y > T{0} ? dy : T{0};
}

/// What the sums of a gradient are made from.
template <class T>
struct GradientRows {
  int64_t channels;
  const T* dy;
  const T* x;
  const T* y;  // null without a ReLU
  const T* mean;
  T* kept;  // where g goes, or null
};

/// Adds the sums of g and of g (x - mean) over some rows, where g = passed(dy, y); with kKeep it is written
/// down too.
template <bool kRelu, bool kKeep, class T>
void add_gradients(int64_t rows, int64_t channels, const T* __restrict dy, const T* __restrict x,
                   const T* __restrict y, const T* __restrict mean, T* __restrict kept,
                   double* __restrict sum, double* __restrict products) {
  const auto take = [=](int64_t i) {
    const T g = passed<kRelu>(dy[i], kRelu ? y[i] : T{});
    if constexpr (kKeep) kept[i] = g;
    return g;
  };
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const int64_t r0 = row * channels;
    const int64_t r1 = r0 + channels;
    const int64_t r2 = r1 + channels;
    const int64_t r3 = r2 + channels;
    for (int64_t c = 0; c < channels; ++c) {
      const T g0 = take(r0 + c);
      const T g1 = take(r1 + c);
      const T g2 = take(r2 + c);
      const T g3 = take(r3 + c);
      sum[c] += static_cast<double>((g0 + g1) + (g2 + g3));
      products[c] += static_cast<double>((g0 * (x[r0 + c] - mean[c]) + g1 * (x[r1 + c] - mean[c])) +
                                         (g2 * (x[r2 + c] - mean[c]) + g3 * (x[r3 + c] - mean[c])));
    }
  }
  for (; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const T g = take(row * channels + c);
      sum[c] += static_cast<double>(g);
      products[c] += static_cast<double>(g * (x[row * channels + c] - mean[c]));
    }
  }
}

/// Those sums over all rows: of each channel, and then their products.
template <bool kRelu, class T>
std::vector<double> gradient_sums(int64_t rows, const GradientRows<T>& of) {
  const int64_t grain = rows_per_chunk(of.channels);
  std::vector<double> partial(static_cast<size_t>(chunk_count(rows, grain) * 2 * of.channels));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    double* sums = partial.data() + begin / grain * 2 * of.channels;
    const int64_t first = begin * of.channels;
    const T* y = kRelu ? of.y + first : nullptr;
    const auto add = of.kept != nullptr ? &add_gradients<kRelu, true, T> : &add_gradients<kRelu, false, T>;
    add(end - begin, of.channels, of.dy + first, of.x + first, y, of.mean,
        of.kept != nullptr ? of.kept + first : nullptr, sums, sums + of.channels);
  });
  const auto size = static_cast<size_t>(2 * of.channels);
  std::vector<double> total(size);
  for (size_t i = 0; i < partial.size(); ++i) total[i % size] += partial[i];
  return total;
}

/// y = (x - center) scale + shift, with the shortcut added and what is below 0 cut off where there is a ReLU.
template <bool kRelu, class T>
void normalise(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
               const Tensor& beta, const Tensor& shortcut, double eps, Tensor& y) {
  std::vector<T> of_channel(static_cast<size_t>(x.size(-1)));
  for (size_t c = 0; c < of_channel.size(); ++c) {
    const auto deviation = std::sqrt(static_cast<double>(variance.data<T>()[c]) + eps);
    of_channel[c] = static_cast<T>(static_cast<double>(gamma.data<T>()[c]) / deviation);
  }
  const int64_t repeat = side_by_side(x.shape().rows(), x.size(-1));
  const int64_t channels = x.size(-1) * repeat;
  const std::vector<T> means = tiled(mean.data<T>(), x.size(-1), repeat);
  const std::vector<T> scales = tiled(of_channel.data(), x.size(-1), repeat);
  const std::vector<T> shifts = tiled(beta.data<T>(), x.size(-1), repeat);
  const T* in = x.data<T>();
  const T* added = shortcut.defined() ? shortcut.data<T>() : nullptr;
  T* out = y.data<T>();
  parallel_for(x.shape().rows() / repeat, rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    const T* __restrict center = means.data();
    const T* __restrict scale = scales.data();
    const T* __restrict shift = shifts.data();
    const auto rows = [&](auto finish) {
      for (int64_t row = begin; row < end; ++row) {
        const T* __restrict from = in + row * channels;
        T* __restrict to = out + row * channels;
        for (int64_t c = 0; c < channels; ++c)
          to[c] = finish((from[c] - center[c]) * scale[c] + shift[c], row * channels + c);
      }
    };
    const auto cut = [](T value) { return kRelu && value < T{0} ? T{0} : value; };  // a NaN stays
    if (added != nullptr) {
      rows([&](T value, int64_t i) { return cut(value + added[i]); });
    } else {
      rows([&](T value, int64_t) { return cut(value); });
    }
  });
}

/// Everything that gradients are computed from; y is undefined without a ReLU.
struct BackwardInputs {
  const Tensor& dy;
  const Tensor& x;
  const Tensor& y;
  const Tensor& mean;
  const Tensor& variance;
  const Tensor& gamma;
  double eps;
  bool batch_statistics;
};

// With s = 1 / sqrt(variance + eps) and the sums over the M rows D = sum g, P = sum g (x - mean):
//   dbeta = D, dgamma = s P, dx = gamma s g for constant statistics, and for those of the batch
//   dx = gamma s (g - D / M - (x - mean) s^2 P / M).
template <bool kRelu, class T>
void backward(const BackwardInputs& in, Tensor& dx, Tensor& dshortcut, Tensor& dgamma, Tensor& dbeta) {
  const auto size = static_cast<size_t>(in.x.size(-1));
  const int64_t count = in.x.shape().rows();
  const int64_t repeat = side_by_side(count, in.x.size(-1));
  const int64_t rows = count / repeat;
  const int64_t channels = in.x.size(-1) * repeat;
  const T* x = in.x.data<T>();
  const T* y = kRelu ? in.y.data<T>() : nullptr;
  const std::vector<T> means = tiled(in.mean.data<T>(), in.x.size(-1), repeat);
  T* kept = dshortcut.defined() ? dshortcut.data<T>() : nullptr;
  T* out = dx.data<T>();
  const std::vector<double> sums = gradient_sums<kRelu, T>(
      rows,
      {.channels = channels, .dy = in.dy.data<T>(), .x = x, .y = y, .mean = means.data(), .kept = kept});
  std::vector<T> of_g(static_cast<size_t>(channels));  // dx = of_g g + of_x (x - mean) + constant
  std::vector<T> of_x(of_g.size());
  std::vector<T> constant(of_g.size());
  for (size_t c = 0; c < size; ++c) {
    double sum = 0.0;
    double product = 0.0;
    for (size_t i = c; i < of_g.size(); i += size) {
      sum += sums[i];
      product += sums[of_g.size() + i];
    }
    const double s = 1.0 / std::sqrt(static_cast<double>(in.variance.data<T>()[c]) + in.eps);
    const double scale = static_cast<double>(in.gamma.data<T>()[c]) * s;
    dbeta.data<T>()[c] = static_cast<T>(sum);
    dgamma.data<T>()[c] = static_cast<T>(s * product);
    const bool moving = in.batch_statistics && count > 0;
    for (size_t i = c; i < of_g.size(); i += size) {
      of_g[i] = static_cast<T>(scale);
      of_x[i] = moving ? static_cast<T>(-scale * s * s * product / static_cast<double>(count)) : T{0};
      constant[i] = moving ? static_cast<T>(-scale * sum / static_cast<double>(count)) : T{0};
    }
  }
  const auto write_rows = [&](const T* g, auto gradient_at) {
    parallel_for(rows, rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
      const T* __restrict a = of_g.data();
      const T* __restrict b = of_x.data();
      const T* __restrict k = constant.data();
      const T* __restrict center = means.data();
      for (int64_t row = begin; row < end; ++row) {
        const T* __restrict gradient = g + row * channels;
        const T* __restrict r = x + row * channels;
        T* __restrict to = out + row * channels;
        for (int64_t c = 0; c < channels; ++c) {
          to[c] = a[c] * gradient_at(gradient[c], row * channels + c) + (b[c] * (r[c] - center[c]) + k[c]);
        }
      }
    });
  };
  if (kRelu && kept == nullptr) {
    write_rows(in.dy.data<T>(), [y](T dy, int64_t i) { return passed<true>(dy, y[i]); });
  } else {
    write_rows(kept != nullptr ? kept : in.dy.data<T>(), [](T g, int64_t) { return g; });
  }
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  const int64_t repeat = side_by_side(x.shape().rows(), x.size(-1));
  const int64_t channels = x.size(-1) * repeat;
  const int64_t rows = x.shape().rows() / repeat;
  const int64_t grain = rows_per_chunk(channels);
  dispatch_float(x.dtype(), "batch_norm_statistics", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    std::vector<Moments> partial(static_cast<size_t>(chunk_count(rows, grain) * channels));
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      chunk_moments(end - begin, channels, in + begin * channels, partial.data() + begin / grain * channels);
    });
    const auto size = static_cast<size_t>(x.size(-1));
    for (size_t i = size; i < partial.size(); ++i) partial[i % size].merge(partial[i]);
    T* means = mean.data<T>();
    T* variances = variance.data<T>();
    for (size_t c = 0; c < size; ++c) {
      means[c] = static_cast<T>(partial[c].mean);
      variances[c] = static_cast<T>(partial[c].m2 / partial[c].count);
    }
  });
}

void batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
                const Tensor& beta, double eps, Tensor& y) {
  dispatch_float(x.dtype(), "batch_norm", [&](auto zero) {
    normalise<false, decltype(zero)>(x, mean, variance, gamma, beta, {}, eps, y);
  });
}

void batch_norm_relu(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
                     const Tensor& beta, const Tensor& shortcut, double eps, Tensor& y) {
  dispatch_float(x.dtype(), "batch_norm_relu", [&](auto zero) {
    normalise<true, decltype(zero)>(x, mean, variance, gamma, beta, shortcut, eps, y);
  });
}

void batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& variance,
                         const Tensor& gamma, double eps, bool batch_statistics, Tensor& dx, Tensor& dgamma,
                         Tensor& dbeta) {
  dispatch_float(x.dtype(), "batch_norm_backward", [&](auto zero) {
    Tensor no_shortcut;
    backward<false, decltype(zero)>({dy, x, {}, mean, variance, gamma, eps, batch_statistics}, dx,
                                    no_shortcut, dgamma, dbeta);
  });
}

void batch_norm_relu_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const Tensor& mean,
                              const Tensor& variance, const Tensor& gamma, double eps, bool batch_statistics,
                              Tensor& dx, Tensor& dshortcut, Tensor& dgamma, Tensor& dbeta) {
  dispatch_float(x.dtype(), "batch_norm_relu_backward", [&](auto zero) {
    backward<true, decltype(zero)>({dy, x, y, mean, variance, gamma, eps, batch_statistics}, dx, dshortcut,
                                   dgamma, dbeta);
  });
}

}  // namespace ds::cpu
