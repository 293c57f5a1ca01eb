// Batch normalisation over rows of channels. Sums are made in double, a piece of rows at a time, and the
// pieces are added in an order of their own: equal bits from run to run.
#include <algorithm>
#include <cmath>

#include "core/formulas/batch_norm_gradient.h"
#include "cuda/check.h"
#include "cuda/compute.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

/// Blocks of threads side by side over channels, and one below the other over rows: neighbours read
/// neighbouring elements, and what belongs to a channel is read once.
struct RowGrid {
  int64_t rows;
  int64_t channels;
  int wide;   // threads of a block along the channels, a power of two
  dim3 grid;  // blocks along the channels, pieces of rows

  explicit RowGrid(const Tensor& x) : rows(x.shape().rows()), channels(x.size(-1)), wide(kMostWide) {
    while (wide / 2 >= channels && wide > 1) wide /= 2;
    const int64_t across = (channels + wide - 1) / wide;
    const int64_t high = kBlockThreads / wide;
    constexpr int64_t kRowsOfThread = 16;
    const int64_t pieces = std::clamp<int64_t>((rows + high * kRowsOfThread - 1) / (high * kRowsOfThread), 1,
                                               std::max<int64_t>(1, kMostBlocks / across));
    grid = dim3(static_cast<unsigned>(across), static_cast<unsigned>(pieces));
  }
  int64_t pieces() const { return grid.y; }

 private:
  static constexpr int kMostWide = 64;
};

/// The rows of a channel that a thread goes through.
struct RowLoop {
  int64_t rows;
  int64_t channels;
  int wide;

  __device__ int64_t channel() const { return int64_t{blockIdx.x} * wide + threadIdx.x % wide; }
  __device__ int64_t first_row() const {
    return int64_t{blockIdx.y} * (kBlockThreads / wide) + threadIdx.x / wide;
  }
  __device__ int64_t step() const { return int64_t{gridDim.y} * (kBlockThreads / wide); }
};

RowLoop loop_of(const RowGrid& grid) { return {grid.rows, grid.channels, grid.wide}; }

/// Two sums of each channel over the rows of a piece, into sums[piece][2][channels].
template <class Body>
__global__ void __launch_bounds__(kBlockThreads)
    channel_sums_kernel(const RowLoop loop, const Body body, double* sums) {
  __shared__ double shared[2][kBlockThreads];
  const int64_t channel = loop.channel();
  double first = 0.0;
  double second = 0.0;
  if (channel < loop.channels) {
    const auto of_channel = body.channel(channel);
    const int64_t step = loop.step();
    for (int64_t row = loop.first_row(); row < loop.rows; row += step) {
      const auto terms = body.terms(of_channel, row * loop.channels + channel);
      first += static_cast<double>(terms.first);
      second += static_cast<double>(terms.second);
    }
  }
  shared[0][threadIdx.x] = first;
  shared[1][threadIdx.x] = second;
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= loop.wide || channel >= loop.channels) return;
  for (int i = static_cast<int>(threadIdx.x) + loop.wide; i < kBlockThreads; i += loop.wide) {
    first += shared[0][i];
    second += shared[1][i];
  }
  double* target = sums + int64_t{blockIdx.y} * 2 * loop.channels + channel;
  target[0] = first;
  target[loop.channels] = second;
}

/// finish(channel, first, second) with the sums over all pieces; one block a channel.
template <class Finish>
__global__ void __launch_bounds__(kWarp)
    channel_totals_kernel(int64_t pieces, int64_t channels, const double* sums, const Finish finish) {
  const int64_t channel = blockIdx.x;
  double first = 0.0;
  double second = 0.0;
  for (int64_t piece = threadIdx.x; piece < pieces; piece += kWarp) {
    first += sums[piece * 2 * channels + channel];
    second += sums[piece * 2 * channels + channels + channel];
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    first += __shfl_down_sync(~0U, first, distance);
    second += __shfl_down_sync(~0U, second, distance);
  }
  if (threadIdx.x == 0) finish(channel, first, second);
}

template <class Body, class Finish>
void sum_channels(const Tensor& x, const Body& body, const Finish& finish) {
  const RowGrid grid(x);
  Tensor sums = Tensor::empty({grid.pieces(), 2, grid.channels}, DType::kF64, x.device());
  const cudaStream_t stream = compute_stream(x);
  channel_sums_kernel<<<grid.grid, kBlockThreads, 0, stream>>>(loop_of(grid), body, sums.data<double>());
  channel_totals_kernel<<<static_cast<unsigned>(grid.channels), kWarp, 0, stream>>>(
      grid.pieces(), grid.channels, sums.data<double>(), finish);
  check(cudaGetLastError(), "starting a kernel");
}

/// body.write(what body.channel(c) gives, element) for all elements.
template <class Body>
__global__ void __launch_bounds__(kBlockThreads) rows_kernel(const RowLoop loop, const Body body) {
  const int64_t channel = loop.channel();
  if (channel >= loop.channels) return;
  const auto of_channel = body.channel(channel);
  const int64_t step = loop.step();
  for (int64_t row = loop.first_row(); row < loop.rows; row += step) {
    body.write(of_channel, row * loop.channels + channel);
  }
}

template <class Body>
void for_rows(const Tensor& x, const Body& body) {
  if (x.numel() == 0) return;
  const RowGrid grid(x);
  rows_kernel<<<grid.grid, kBlockThreads, 0, compute_stream(x)>>>(loop_of(grid), body);
  check(cudaGetLastError(), "starting a kernel");
}

template <class T>
struct Pair {
  T first;
  T second;
};

/// Sums of d = x - (the channel's first element) and of d^2: deviations from something near the mean, so that
/// nothing is lost when the mean is far from zero.
template <class T>
struct Deviations {
  const T* x;
  __device__ T channel(int64_t c) const { return x[c]; }
  __device__ Pair<double> terms(T center, int64_t i) const {
    const double d = static_cast<double>(x[i]) - static_cast<double>(center);
    return {d, d * d};
  }
};

template <class T>
struct Statistics {
  const T* x;
  double rows;
  T* mean;
  T* variance;
  __device__ void operator()(int64_t c, double sum, double squares) const {
    const double shift = sum / rows;
    mean[c] = static_cast<T>(static_cast<double>(x[c]) + shift);
    const double spread = squares / rows - shift * shift;
    variance[c] = static_cast<T>(spread < 0.0 ? 0.0 : spread);  // a NaN stays
  }
};

/// The line that a channel goes through: y = (x - mean) scale + shift.
template <class T>
struct Line {
  T mean;
  T scale;
  T shift;
  /// One rounding, in forward and backward alike: whether a ReLU let something through is worked out again.
  __device__ T operator()(T x) const { return fma(x - mean, scale, shift); }
};

template <class T>
struct Lines {
  const T* mean;
  const T* variance;
  const T* gamma;
  const T* beta;
  double eps;
  __device__ Line<T> operator()(int64_t c) const {
    const double deviation = sqrt(static_cast<double>(variance[c]) + eps);
    return {mean[c], static_cast<T>(static_cast<double>(gamma[c]) / deviation), beta[c]};
  }
};

template <bool kRelu, class T>
struct Normalise {
  Lines<T> lines;
  const T* x;
  const T* shortcut;  // or null
  T* y;
  __device__ Line<T> channel(int64_t c) const { return lines(c); }
  __device__ void write(const Line<T>& line, int64_t i) const {
    T value = line(x[i]);
    if (shortcut != nullptr) value += shortcut[i];
    y[i] = kRelu && value < T{0} ? T{0} : value;  // a NaN stays
  }
};

/// g, the gradient that reaches the normalisation.
template <ReluGate kGate, class T>
struct GradientAt {
  const T* dy;
  const T* x;
  const T* y;  // kOutput
  __device__ T operator()(const Line<T>& line, int64_t i) const {
    if constexpr (kGate == ReluGate::kOutput) return y[i] > T{0} ? dy[i] : T{0};
    if constexpr (kGate == ReluGate::kInput) return line(x[i]) > T{0} ? dy[i] : T{0};
    return dy[i];
  }
};

/// Sums of g and of g (x - mean); where a shortcut's gradient is asked for, g is written down.
template <ReluGate kGate, class T>
struct GradientSums {
  GradientAt<kGate, T> gradient;
  Lines<T> lines;
  T* kept;  // or null
  __device__ Line<T> channel(int64_t c) const { return lines(c); }
  __device__ Pair<double> terms(const Line<T>& line, int64_t i) const {
    const T g = gradient(line, i);
    if (kept != nullptr) kept[i] = g;
    return {static_cast<double>(g), static_cast<double>(g) * static_cast<double>(gradient.x[i] - line.mean)};
  }
};

/// Of each channel, from its sums.
template <class T>
struct Formulas {
  double rows;  // 0 for constant statistics
  double eps;
  const T* variance;
  const T* gamma;
  T* dgamma;
  T* dbeta;
  T* formula;  // [3][channels]
  int64_t channels;
  __device__ void operator()(int64_t c, double sum, double product) const {
    const auto gradient = BatchNormGradient::of(static_cast<double>(gamma[c]),
                                                static_cast<double>(variance[c]), eps, sum, product, rows);
    dbeta[c] = static_cast<T>(gradient.dbeta);
    dgamma[c] = static_cast<T>(gradient.dgamma);
    formula[c] = static_cast<T>(gradient.of_g);
    formula[channels + c] = static_cast<T>(gradient.of_x);
    formula[2 * channels + c] = static_cast<T>(gradient.constant);
  }
};

template <ReluGate kGate, class T>
struct InputGradient {
  GradientAt<kGate, T> gradient;
  Lines<T> lines;
  const T* formula;
  int64_t channels;
  T* dx;

  struct Channel {
    Line<T> line;
    T of_g;
    T of_x;
    T constant;
  };
  __device__ Channel channel(int64_t c) const {
    return {lines(c), formula[c], formula[channels + c], formula[2 * channels + c]};
  }
  __device__ void write(const Channel& of, int64_t i) const {
    dx[i] = of.of_g * gradient(of.line, i) + (of.of_x * (gradient.x[i] - of.line.mean) + of.constant);
  }
};

/// Everything that gradients are computed from; beta and y as the gate needs them.
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

template <ReluGate kGate, class T>
void backward(const BackwardInputs& in, Tensor& dx, Tensor& dshortcut, Tensor& dgamma, Tensor& dbeta) {
  const int64_t channels = in.x.size(-1);
  Tensor formula = Tensor::empty({3, channels}, in.x.dtype(), in.x.device());
  const GradientAt<kGate, T> gradient{in.dy.data<T>(), in.x.data<T>(),
                                      kGate == ReluGate::kOutput ? in.y.data<T>() : nullptr};
  // Without a ReLU nobody asks for the shift: gamma stands in for what there is not.
  const Lines<T> lines{in.mean.data<T>(), in.variance.data<T>(), in.gamma.data<T>(),
                       in.beta.defined() ? in.beta.data<T>() : in.gamma.data<T>(), in.eps};
  sum_channels(in.x,
               GradientSums<kGate, T>{gradient, lines, dshortcut.defined() ? dshortcut.data<T>() : nullptr},
               Formulas<T>{.rows = in.batch_statistics ? static_cast<double>(in.x.shape().rows()) : 0.0,
                           .eps = in.eps,
                           .variance = in.variance.data<T>(),
                           .gamma = in.gamma.data<T>(),
                           .dgamma = dgamma.data<T>(),
                           .dbeta = dbeta.data<T>(),
                           .formula = formula.data<T>(),
                           .channels = channels});
  for_rows(in.x, InputGradient<kGate, T>{gradient, lines, formula.data<T>(), channels, dx.data<T>()});
}

template <bool kRelu>
void normalise(const char* operation, const Tensor& x, const Tensor& mean, const Tensor& variance,
               const Tensor& gamma, const Tensor& beta, const Tensor& shortcut, double eps, Tensor& y) {
  dispatch_float(x.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    for_rows(x,
             Normalise<kRelu, T>{{mean.data<T>(), variance.data<T>(), gamma.data<T>(), beta.data<T>(), eps},
                                 x.data<T>(),
                                 shortcut.defined() ? shortcut.data<T>() : nullptr,
                                 y.data<T>()});
  });
}

}  // namespace

void batch_norm_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
  dispatch_float(x.dtype(), "batch_norm_statistics", [&](auto zero) {
    using T = decltype(zero);
    sum_channels(x, Deviations<T>{x.data<T>()},
                 Statistics<T>{x.data<T>(), static_cast<double>(x.shape().rows()), mean.data<T>(),
                               variance.data<T>()});
  });
}

void batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
                const Tensor& beta, double eps, Tensor& y) {
  normalise<false>("batch_norm", x, mean, variance, gamma, beta, {}, eps, y);
}

void batch_norm_relu(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma,
                     const Tensor& beta, const Tensor& shortcut, double eps, Tensor& y) {
  normalise<true>("batch_norm_relu", x, mean, variance, gamma, beta, shortcut, eps, y);
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

}  // namespace ds::cuda
