// Batch normalisation over rows of channels. Every sum is made a chunk of rows at a time, four rows in the
// element type and then in double, and the chunks are merged in order.
#include <cmath>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/reduction.h"
#include "core/formulas/batch_norm_gradient.h"

namespace ds::cpu {
namespace {

/// Mean and sum of squared deviations of a number of values.
struct Moments {
  double count = 0.0;
  double mean = 0.0;
  double m2 = 0.0;
};

constexpr int64_t kMergeGrain = 256;  // channels whose partial sums one thread merges

/// Of each of `channels` channels, joins the moments of `sets` disjoint sets of rows in order: those of
/// channel c stand at set * channels + c, and all of a set have the same count; the first takes the result
/// (Chan, Golub & LeVeque 1979).
void merge_moments(int64_t sets, int64_t channels, Moments* moments) {
  parallel_for(channels, kMergeGrain, [&](int64_t begin, int64_t end) {
    double count = moments[begin].count;
    for (int64_t set = 1; set < sets; ++set) {
      const Moments* __restrict others = moments + set * channels;
      const double total = count + others[begin].count;
      const double share = others[begin].count / total;
      const double spread = count * others[begin].count / total;
      for (int64_t c = begin; c < end; ++c) {
        const double delta = others[c].mean - moments[c].mean;
        moments[c].mean += delta * share;
        moments[c].m2 += others[c].m2 + delta * delta * spread;
      }
      count = total;
    }
    for (int64_t c = begin; c < end; ++c) moments[c].count = count;
  });
}

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

/// What the gradients of rows are made from.
template <class T>
struct GradientRows {
  int64_t channels;
  const T* dy;
  const T* x;
  const T* y;  // kOutput
  const T* mean;
  const T* scale;  // kInput: y = (x - mean) scale + shift
  const T* shift;
  T* kept;  // where g goes, or null
};

/// g, the gradient that reaches the normalisation, at element i of channel c.
template <ReluGate kGate, class T>
inline T gradient_at(const GradientRows<T>& of, int64_t i, int64_t c) {
  if constexpr (kGate == ReluGate::kOutput) return of.y[i] > T{0} ? of.dy[i] : T{0};
  if constexpr (kGate == ReluGate::kInput) {
    return (of.x[i] - of.mean[c]) * of.scale[c] + of.shift[c] > T{0} ? of.dy[i] : T{0};
  }
  return of.dy[i];
}

/// Adds the sums of g and of g (x - mean) over rows [begin, end); with kKeep, g is written down too.
template <ReluGate kGate, bool kKeep, class T>
void add_gradients(const GradientRows<T>& rows, int64_t begin, int64_t end, double* __restrict sum,
                   double* __restrict products) {
  const GradientRows<T> of = rows;
  const int64_t channels = of.channels;
  T* __restrict kept = of.kept;
  const auto take = [&](int64_t i, int64_t c) {
    const T g = gradient_at<kGate>(of, i, c);
    if constexpr (kKeep) kept[i] = g;
    return g;
  };
  const auto product = [&](T g, int64_t i, int64_t c) { return g * (of.x[i] - of.mean[c]); };
  int64_t row = begin;
  for (; row + 4 <= end; row += 4) {
    const int64_t r0 = row * channels;
    const int64_t r1 = r0 + channels;
    const int64_t r2 = r1 + channels;
    const int64_t r3 = r2 + channels;
#pragma omp simd  // what is kept does not overlap with what is read
    for (int64_t c = 0; c < channels; ++c) {
      const T g0 = take(r0 + c, c);
      const T g1 = take(r1 + c, c);
      const T g2 = take(r2 + c, c);
      const T g3 = take(r3 + c, c);
      sum[c] += static_cast<double>((g0 + g1) + (g2 + g3));
      products[c] += static_cast<double>((product(g0, r0 + c, c) + product(g1, r1 + c, c)) +
                                         (product(g2, r2 + c, c) + product(g3, r3 + c, c)));
    }
  }
  for (; row < end; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const T g = take(row * channels + c, c);
      sum[c] += static_cast<double>(g);
      products[c] += static_cast<double>(product(g, row * channels + c, c));
    }
  }
}

/// Those sums over all rows: of each channel, and then their products.
template <ReluGate kGate, class T>
std::vector<double> gradient_sums(int64_t rows, const GradientRows<T>& of) {
  const int64_t grain = rows_per_chunk(of.channels);
  std::vector<double> partial(static_cast<size_t>(chunk_count(rows, grain) * 2 * of.channels));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    double* sums = partial.data() + begin / grain * 2 * of.channels;
    const auto add = of.kept != nullptr ? &add_gradients<kGate, true, T> : &add_gradients<kGate, false, T>;
    add(of, begin, end, sums, sums + of.channels);
  });
  const auto size = static_cast<size_t>(2 * of.channels);
  parallel_for(2 * of.channels, kMergeGrain, [&](int64_t begin, int64_t end) {
    for (size_t first = size; first < partial.size(); first += size) {
      for (int64_t c = begin; c < end; ++c)
        partial[static_cast<size_t>(c)] += partial[first + static_cast<size_t>(c)];
    }
  });
  partial.resize(size);
  return partial;
}

/// gamma / sqrt(variance + eps) of each channel.
template <class T>
std::vector<T> scale_of(const Tensor& gamma, const Tensor& variance, double eps) {
  std::vector<T> scale(static_cast<size_t>(gamma.numel()));
  for (size_t c = 0; c < scale.size(); ++c) {
    const auto deviation = std::sqrt(static_cast<double>(variance.data<T>()[c]) + eps);
    scale[c] = static_cast<T>(static_cast<double>(gamma.data<T>()[c]) / deviation);
  }
  return scale;
}

/// y = (x - center) scale + shift, with the shortcut added and what is below 0 cut off where there is a ReLU.
template <bool kRelu, class T>
void normalise(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
               const Tensor& beta, const Tensor& shortcut, double eps, Tensor& y) {
  const std::vector<T> of_channel = scale_of<T>(gamma, variance, eps);
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

/// Everything that gradients are computed from; y and beta as the gate needs them.
struct BackwardInputs {
  const Tensor& dy;
  const Tensor& x;
  const Tensor& y;
  const Tensor& mean;
  const Tensor& variance;
  const Tensor& gamma;
  const Tensor& beta;
  double eps;
  bool batch_statistics;
};

/// dx = of_g g + of_x (x - mean) + constant, of each channel.
template <class T>
struct InputGradient {
  std::vector<T> of_g;
  std::vector<T> of_x;
  std::vector<T> constant;
};

template <ReluGate kGate, class T>
void write_input_gradient(int64_t rows, const GradientRows<T>& given, const InputGradient<T>& formula,
                          T* out) {
  const int64_t channels = given.channels;
  parallel_for(rows, rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    const GradientRows<T> of = given;
    const T* __restrict a = formula.of_g.data();
    const T* __restrict b = formula.of_x.data();
    const T* __restrict k = formula.constant.data();
    for (int64_t row = begin; row < end; ++row) {
      T* __restrict to = out + row * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t i = row * channels + c;
        to[c] = a[c] * gradient_at<kGate>(of, i, c) + (b[c] * (of.x[i] - of.mean[c]) + k[c]);
      }
    }
  });
}

template <ReluGate kGate, class T>
void backward(const BackwardInputs& in, Tensor& dx, Tensor& dshortcut, Tensor& dgamma, Tensor& dbeta) {
  const int64_t width = in.x.size(-1);
  const int64_t count = in.x.shape().rows();
  const int64_t repeat = side_by_side(count, width);
  const int64_t rows = count / repeat;
  const std::vector<T> means = tiled(in.mean.data<T>(), width, repeat);
  std::vector<T> scales;
  std::vector<T> shifts;
  if (kGate == ReluGate::kInput) {
    scales = tiled(scale_of<T>(in.gamma, in.variance, in.eps).data(), width, repeat);
    shifts = tiled(in.beta.data<T>(), width, repeat);
  }
  GradientRows<T> of{.channels = width * repeat,
                     .dy = in.dy.data<T>(),
                     .x = in.x.data<T>(),
                     .y = kGate == ReluGate::kOutput ? in.y.data<T>() : nullptr,
                     .mean = means.data(),
                     .scale = scales.data(),
                     .shift = shifts.data(),
                     .kept = dshortcut.defined() ? dshortcut.data<T>() : nullptr};
  const std::vector<double> sums = gradient_sums<kGate, T>(rows, of);
  const auto size = static_cast<size_t>(of.channels);
  InputGradient<T> formula{std::vector<T>(size), std::vector<T>(size), std::vector<T>(size)};
  for (size_t c = 0; c < static_cast<size_t>(width); ++c) {
    double sum = 0.0;
    double product = 0.0;
    for (size_t i = c; i < size; i += static_cast<size_t>(width)) {
      sum += sums[i];
      product += sums[size + i];
    }
    const auto gradient = BatchNormGradient::of(
        static_cast<double>(in.gamma.data<T>()[c]), static_cast<double>(in.variance.data<T>()[c]), in.eps,
        sum, product, in.batch_statistics ? static_cast<double>(count) : 0.0);
    dbeta.data<T>()[c] = static_cast<T>(gradient.dbeta);
    dgamma.data<T>()[c] = static_cast<T>(gradient.dgamma);
    for (size_t i = c; i < size; i += static_cast<size_t>(width)) {
      formula.of_g[i] = static_cast<T>(gradient.of_g);
      formula.of_x[i] = static_cast<T>(gradient.of_x);
      formula.constant[i] = static_cast<T>(gradient.constant);
    }
  }
  T* out = dx.data<T>();
  if (of.kept == nullptr) {
    write_input_gradient<kGate>(rows, of, formula, out);
  } else {  // what was kept is g already
    of.dy = of.kept;
    write_input_gradient<ReluGate::kNone>(rows, of, formula, out);
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
    merge_moments(static_cast<int64_t>(partial.size() / size), x.size(-1), partial.data());
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
    backward<ReluGate::kNone, decltype(zero)>({dy, x, {}, mean, variance, gamma, {}, eps, batch_statistics},
                                              dx, no_shortcut, dgamma, dbeta);
  });
}

void batch_norm_relu_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const Tensor& mean,
                              const Tensor& variance, const Tensor& gamma, const Tensor& beta, double eps,
                              bool batch_statistics, Tensor& dx, Tensor& dshortcut, Tensor& dgamma,
                              Tensor& dbeta) {
  dispatch_float(x.dtype(), "batch_norm_relu_backward", [&](auto zero) {
    using T = decltype(zero);
    const BackwardInputs in{dy, x, y, mean, variance, gamma, beta, eps, batch_statistics};
    const auto run = y.defined() ? &backward<ReluGate::kOutput, T> : &backward<ReluGate::kInput, T>;
    run(in, dx, dshortcut, dgamma, dbeta);
  });
}

}  // namespace ds::cpu
