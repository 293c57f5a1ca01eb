#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/reduction.h"
#include "core/formulas/axes.h"
#include "core/formulas/ordered_bits.h"

namespace ds::cpu {
namespace {

/// sums[j] = sum over rows of x[row, j].
template <class In>
void add_rows(int64_t rows, int64_t width, const In* __restrict x, double* __restrict sums) {
  if (width == 1) {
    *sums = sum_of_terms(0, rows, [x](int64_t row) { return x[row]; });
    return;
  }
  std::fill(sums, sums + width, 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < width; ++j) sums[j] += static_cast<double>(x[row * width + j]);
  }
}

template <class In, class Out>
void reduce_axis(const Reduction& shape, const In* x, Out* y) {
  const int64_t outer = shape.outer;
  const int64_t length = shape.length;
  const int64_t inner = shape.inner;
  const int64_t plane = length * inner;
  const auto store = [inner, y](int64_t o, const double* sums) {
    for (int64_t j = 0; j < inner; ++j) y[o * inner + j] = static_cast<Out>(sums[j]);
  };
  if (plane <= kElementwiseGrain) {  // small sums: many a chunk
    parallel_for(outer, rows_per_chunk(plane), [=](int64_t begin, int64_t end) {
      std::vector<double> sums(static_cast<size_t>(inner));
      for (int64_t o = begin; o < end; ++o) {
        add_rows(length, inner, x + o * plane, sums.data());
        store(o, sums.data());
      }
    });
    return;
  }
  const int64_t grain = rows_per_chunk(inner);  // large sums: many chunks each
  const int64_t pieces = chunk_count(length, grain);
  std::vector<double> partial(static_cast<size_t>(outer * pieces * inner));
  parallel_chunks(outer * pieces, [&](int64_t chunk) {
    const int64_t first = chunk % pieces * grain;
    add_rows(std::min(grain, length - first), inner, x + chunk / pieces * plane + first * inner,
             partial.data() + chunk * inner);
  });
  for (int64_t o = 0; o < outer; ++o) {
    double* sums = partial.data() + o * pieces * inner;
    for (int64_t piece = 1; piece < pieces; ++piece) {
      for (int64_t j = 0; j < inner; ++j) sums[j] += sums[piece * inner + j];
    }
    store(o, sums);
  }
}

/// With intermediate sums in double.
template <class T>
void sum_runs(const std::vector<Reduction>& runs, const T* x, T* y) {
  std::vector<double> sums;
  for (size_t i = 0; i < runs.size(); ++i) {
    const Reduction& run = runs[i];
    const bool last = i + 1 == runs.size();
    std::vector<double> result(last ? 0 : static_cast<size_t>(run.outer * run.inner));
    if (i == 0 && last) {
      reduce_axis(run, x, y);
    } else if (i == 0) {
      reduce_axis(run, x, result.data());
    } else if (last) {
      reduce_axis(run, sums.data(), y);
    } else {
      reduce_axis(run, sums.data(), result.data());
    }
    sums.swap(result);
  }
}

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
    } else {
      sum_runs(runs, x.data<T>(), y.data<T>());
    }
  });
}

void sum_squares(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "sum_squares", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    *y.data<double>() = chunked_sum(x.numel(), [&](int64_t begin, int64_t end) {
      return sum_of_terms(begin, end, [in](int64_t i) {
        const auto value = static_cast<double>(in[i]);
        return value * value;
      });
    });
  });
}

void argmax(const Tensor& x, Tensor& y) {
  const int64_t columns = x.size(-1);
  dispatch_float(x.dtype(), "argmax", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    int64_t* out = y.data<int64_t>();
    parallel_for(x.shape().rows(), rows_per_chunk(columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* row = in + r * columns;
        int64_t best = 0;
        for (int64_t c = 1; c < columns && row[best] == row[best]; ++c) {  // the first NaN ends the search
          if (!(row[c] <= row[best])) best = c;
        }
        out[r] = best;
      }
    });
  });
}

void extremes(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "extremes", [&](auto zero) {
    using T = decltype(zero);
    using Int = OrderedBits<T>;
    struct Pair {
      Int least = std::numeric_limits<Int>::max();
      Int greatest = std::numeric_limits<Int>::min();
    };
    const T* in = x.data<T>();
    std::vector<Pair> partial(static_cast<size_t>(chunk_count(x.numel(), kElementwiseGrain)));
    parallel_for(x.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      Int least = std::numeric_limits<Int>::max();
      Int greatest = std::numeric_limits<Int>::min();
#pragma omp simd reduction(min : least) reduction(max : greatest)
      for (int64_t i = begin; i < end; ++i) {
        const Int key = ordered_bits(in[i]);
        least = std::min(least, key);
        greatest = std::max(greatest, key);
      }
      partial[static_cast<size_t>(begin / kElementwiseGrain)] = {.least = least, .greatest = greatest};
    });
    Pair all;
    for (const Pair& pair : partial) {
      all = {.least = std::min(all.least, pair.least), .greatest = std::max(all.greatest, pair.greatest)};
    }
    y.data<double>()[0] = static_cast<double>(from_ordered_bits<T>(all.least));
    y.data<double>()[1] = static_cast<double>(from_ordered_bits<T>(all.greatest));
  });
}

}  // namespace ds::cpu
