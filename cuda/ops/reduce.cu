#include "cuda/ops/reduce.cuh"

#include <cstdint>
#include <limits>
#include <vector>

#include "core/formulas/axes.h"
#include "core/formulas/ordered_bits.h"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

/// The rows of one sum are shared out among pieces, so that there is work for all multiprocessors.
struct Pieces {
  int64_t count = 1;
  int64_t rows = 1;  // of each but the last

  Pieces(int64_t length, int64_t sums) {
    constexpr int64_t kFewestRows = 64;
    const int64_t wanted = std::max<int64_t>(1, kMostBlocks * kBlockThreads / std::max<int64_t>(1, sums));
    const int64_t most = std::max<int64_t>(1, length / kFewestRows);
    rows = (length + std::min(wanted, most) - 1) / std::min(wanted, most);
    count = (length + rows - 1) / rows;
  }
};

/// y[outer, piece, inner] = the sums over the rows of each piece; one thread a sum.
template <class In, class Out>
struct SumPiece {
  Reduction shape;
  Pieces pieces;
  const In* x;
  Out* y;

  __device__ void operator()(int64_t i) const {
    const int64_t j = i % shape.inner;
    const int64_t piece = i / shape.inner % pieces.count;
    const int64_t outer = i / shape.inner / pieces.count;
    const int64_t begin = piece * pieces.rows;
    const int64_t end = min(begin + pieces.rows, shape.length);
    const In* from = x + (outer * shape.length + begin) * shape.inner + j;
    double sum = 0.0;
    for (int64_t row = begin; row < end; ++row, from += shape.inner) sum += static_cast<double>(*from);
    y[i] = static_cast<Out>(sum);
  }
};

template <class In, class Out>
void reduce_axis(const Tensor& on, const Reduction& shape, const In* x, Out* y) {
  const int64_t sums = shape.outer * shape.inner;
  const Pieces pieces(shape.length, sums);
  if (pieces.count == 1) {
    for_each(on, sums, SumPiece<In, Out>{shape, pieces, x, y});
    return;
  }
  Tensor partial = Tensor::empty({sums * pieces.count}, DType::kF64, on.device());
  for_each(on, sums * pieces.count, SumPiece<In, double>{shape, pieces, x, partial.data<double>()});
  const Reduction rest{.outer = shape.outer, .length = pieces.count, .inner = shape.inner};
  reduce_axis(on, rest, static_cast<const double*>(partial.data<double>()), y);
}

template <class T>
struct Square {
  const T* x;
  __device__ double operator()(int64_t i) const {
    const auto value = static_cast<double>(x[i]);
    return value * value;
  }
};

template <class T>
struct Argmax {
  const T* x;
  int64_t columns;
  int64_t* y;
  __device__ void operator()(int64_t r) const {
    const T* row = x + r * columns;
    int64_t best = 0;
    for (int64_t c = 1; c < columns && row[best] == row[best]; ++c) {  // the first NaN ends the search
      if (!(row[c] <= row[best])) best = c;
    }
    y[r] = best;
  }
};

/// least[0] and greatest[1] as ordered integers; whatever comes first, the result is the same.
template <class T>
struct Extreme {
  const T* x;
  int64_t count;
  int64_t threads;
  long long* found;
  __device__ void operator()(int64_t thread) const {
    long long least = std::numeric_limits<long long>::max();
    long long greatest = std::numeric_limits<long long>::min();
    for (int64_t i = thread; i < count; i += threads) {
      const auto key = static_cast<long long>(ordered_bits(x[i]));
      least = min(least, key);
      greatest = max(greatest, key);
    }
    atomicMin(found, least);
    atomicMax(found + 1, greatest);
  }
};

struct StartExtremes {
  long long* found;
  __device__ void operator()(int64_t i) const {
    found[i] = i == 0 ? std::numeric_limits<long long>::max() : std::numeric_limits<long long>::min();
  }
};

template <class T>
struct EndExtremes {
  const long long* found;
  double* y;
  __device__ void operator()(int64_t i) const {
    y[i] = static_cast<double>(from_ordered_bits<T>(static_cast<OrderedBits<T>>(found[i])));
  }
};

}  // namespace

void sum_to(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) {
    y.fill(0.0);
    return;
  }
  dispatch_float(x.dtype(), "sum_to", [&](auto zero) {
    using T = decltype(zero);
    const std::vector<Reduction> runs = reductions(x.shape(), y.shape());
    if (runs.empty()) {
      y.reshape(x.shape()).copy_from(x);
      return;
    }
    Tensor sums;  // of the runs so far
    for (size_t i = 0; i < runs.size(); ++i) {
      const bool last = i + 1 == runs.size();
      Tensor next = last ? y : Tensor::empty({runs[i].outer * runs[i].inner}, DType::kF64, x.device());
      if (i == 0 && last) {
        reduce_axis(x, runs[i], x.data<T>(), next.data<T>());
      } else if (i == 0) {
        reduce_axis(x, runs[i], x.data<T>(), next.data<double>());
      } else if (last) {
        reduce_axis(x, runs[i], std::as_const(sums).data<double>(), next.data<T>());
      } else {
        reduce_axis(x, runs[i], std::as_const(sums).data<double>(), next.data<double>());
      }
      sums = next;
    }
  });
}

void sum_squares(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "sum_squares", [&](auto zero) {
    using T = decltype(zero);
    sum_terms(x, x.numel(), Square<T>{x.data<T>()}, y.data<double>());
  });
}

void argmax(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "argmax", [&](auto zero) {
    using T = decltype(zero);
    for_each(x, x.shape().rows(), Argmax<T>{x.data<T>(), x.size(-1), y.data<int64_t>()});
  });
}

void extremes(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "extremes", [&](auto zero) {
    using T = decltype(zero);
    Tensor found = Tensor::empty({2}, DType::kI64, x.device());
    auto* keys = reinterpret_cast<long long*>(found.data<int64_t>());
    for_each(x, 2, StartExtremes{keys});
    const int64_t threads = std::min<int64_t>(x.numel(), 4096);
    for_each(x, threads, Extreme<T>{x.data<T>(), x.numel(), threads, keys});
    for_each(x, 2, EndExtremes<T>{keys, y.data<double>()});
  });
}

}  // namespace ds::cuda
