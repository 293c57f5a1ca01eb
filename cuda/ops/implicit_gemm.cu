// Convolution as a product of matrices whose elements are fetched from where they stand
// (core/formulas/implicit_gemm.h): tiles of 64 x 64 in shared memory, 4 x 4 sums a thread. Serves where cuDNN
// does not: without it, and in f64.
#include "core/formulas/implicit_gemm.h"

#include <algorithm>
#include <limits>

#include "cuda/check.h"
#include "cuda/compute.h"
#include "cuda/ops/conv2d.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kSide = 4;  // of the sums of a thread
static_assert(kTile / kSide * (kTile / kSide) == kBlockThreads);

template <class T>
__device__ T load_or_zero(const T* data, int64_t offset) {
  return offset == kPadding ? T{0} : data[offset];
}

template <class T>
struct Forward {
  // Whether neighbours in memory are neighbours along the depth.
  static constexpr bool kADeep = true;
  static constexpr bool kBDeep = true;
  ConvolutionIndex at;
  const T* x;
  const T* w;
  T* y;

  DS_HOST_DEVICE int64_t rows() const { return at.out_pixels(); }
  DS_HOST_DEVICE int64_t columns() const { return at.group_outputs(); }
  DS_HOST_DEVICE int64_t depth() const { return at.taps() * at.group_inputs(); }
  __device__ T a(int64_t g, int64_t m, int64_t k) const { return load_or_zero(x, at.x_offset(g, m, k)); }
  __device__ T b(int64_t g, int64_t k, int64_t n) const { return w[at.w_offset(g, n, k)]; }
  __device__ T* target(int64_t g, int64_t m, int64_t n) const {
    return y + m * at.out_channels + g * at.group_outputs() + n;
  }
};

template <class T>
struct BackwardData {
  static constexpr bool kADeep = true;
  static constexpr bool kBDeep = false;
  ConvolutionIndex at;
  const T* dy;
  const T* w;
  T* dx;

  DS_HOST_DEVICE int64_t rows() const { return at.in_pixels(); }
  DS_HOST_DEVICE int64_t columns() const { return at.group_inputs(); }
  DS_HOST_DEVICE int64_t depth() const { return at.taps() * at.group_outputs(); }
  __device__ T a(int64_t g, int64_t m, int64_t k) const { return load_or_zero(dy, at.dy_offset(g, m, k)); }
  __device__ T b(int64_t g, int64_t k, int64_t n) const { return w[at.w_offset_turned(g, n, k)]; }
  __device__ T* target(int64_t g, int64_t m, int64_t n) const {
    return dx + m * at.in_channels + g * at.group_inputs() + n;
  }
};

/// The depth, which is the pixels, is cut into parts; each has sums of its own.
template <class T>
struct BackwardWeight {
  static constexpr bool kADeep = false;
  static constexpr bool kBDeep = false;
  ConvolutionIndex at;
  const T* dy;
  const T* x;
  T* dw;  // [parts][O, kh, kw, I/g]

  DS_HOST_DEVICE int64_t rows() const { return at.group_outputs(); }
  DS_HOST_DEVICE int64_t columns() const { return at.taps() * at.group_inputs(); }
  DS_HOST_DEVICE int64_t depth() const { return at.out_pixels(); }
  __device__ T a(int64_t g, int64_t m, int64_t k) const {
    return dy[k * at.out_channels + g * at.group_outputs() + m];
  }
  __device__ T b(int64_t g, int64_t k, int64_t n) const { return load_or_zero(x, at.x_offset(g, k, n)); }
  __device__ T* target(int64_t g, int64_t m, int64_t n) const { return dw + at.w_offset(g, m, n); }
};

DS_HOST_DEVICE inline int64_t tiles(int64_t size) { return (size + kTile - 1) / kTile; }

/// Position of element i of a tile [kTile, kDepth] or its transpose, so that neighbouring threads read
/// neighbours.
template <bool kDeep>
__device__ int2 tile_place(int i) {
  return kDeep ? int2{i / kDepth, i % kDepth} : int2{i % kTile, i / kTile};
}

/// Each block: a tile of rows, one of columns, a group and a part of the depth, counted in this order along
/// x, which alone takes more than 65535 blocks. Part p writes to its target + p * part_size.
template <class T, class Product>
__global__ void __launch_bounds__(kBlockThreads)
    product_kernel(const Product product, int64_t groups, int64_t part_depth, int64_t part_size) {
  __shared__ T a[kDepth][kTile + 1];
  __shared__ T b[kDepth][kTile + 1];
  const int64_t row_tiles = tiles(product.rows());
  const int64_t group_tiles = row_tiles * tiles(product.columns());
  const int64_t block = blockIdx.x;
  const int64_t group = block / group_tiles % groups;
  const int64_t part = block / group_tiles / groups;
  const int64_t first_row = block % row_tiles * kTile;
  const int64_t first_column = block % group_tiles / row_tiles * kTile;
  const int64_t end = min((part + 1) * part_depth, product.depth());
  const int row = static_cast<int>(threadIdx.x) / (kTile / kSide) * kSide;
  const int column = static_cast<int>(threadIdx.x) % (kTile / kSide) * kSide;
  T sums[kSide][kSide] = {};
  for (int64_t k = part * part_depth; k < end; k += kDepth) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kBlockThreads) {
      const int2 of_a = tile_place<Product::kADeep>(i);
      const int2 of_b = tile_place<Product::kBDeep>(i);
      const bool a_inside = first_row + of_a.x < product.rows() && k + of_a.y < end;
      const bool b_inside = first_column + of_b.x < product.columns() && k + of_b.y < end;
      a[of_a.y][of_a.x] = a_inside ? product.a(group, first_row + of_a.x, k + of_a.y) : T{0};
      b[of_b.y][of_b.x] = b_inside ? product.b(group, k + of_b.y, first_column + of_b.x) : T{0};
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
#pragma unroll
      for (int i = 0; i < kSide; ++i) {
#pragma unroll
        for (int j = 0; j < kSide; ++j) sums[i][j] += a[d][row + i] * b[d][column + j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      const int64_t m = first_row + row + i;
      const int64_t n = first_column + column + j;
      if (m < product.rows() && n < product.columns())
        product.target(group, m, n)[part * part_size] = sums[i][j];
    }
  }
}

template <class T, class Product>
void start(const Tensor& on, const Product& product, int64_t parts, int64_t part_size) {
  const int64_t groups = product.at.groups;
  const int64_t part_depth = (product.depth() + parts - 1) / parts;
  const int64_t blocks = tiles(product.rows()) * tiles(product.columns()) * groups * parts;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  DS_CHECK(blocks <= kMost, "[conv2d] {} thread blocks for a convolution, expected at most {}", blocks,
           kMost);
  product_kernel<T><<<static_cast<unsigned>(blocks), kBlockThreads, 0, compute_stream(on)>>>(
      product, groups, part_depth, part_size);
  check(cudaGetLastError(), "starting a convolution");
}

template <class T>
void run_backward_weight(const ConvolutionIndex& at, const Convolution& convolution) {
  Tensor dw = convolution.w;
  BackwardWeight<T> product{at, convolution.y.data<T>(), convolution.x.data<T>(), dw.data<T>()};
  const int64_t blocks = tiles(product.rows()) * tiles(product.columns()) * at.groups;
  constexpr int64_t kShortest = 8 * kDepth;
  const int64_t parts =
      std::clamp<int64_t>(kMostBlocks / (4 * blocks), 1, std::max<int64_t>(1, at.out_pixels() / kShortest));
  if (parts == 1) {
    start<T>(dw, product, 1, 0);
    return;
  }
  Tensor partial = Tensor::empty({parts, dw.numel()}, dw.dtype(), dw.device());
  product.dw = partial.data<T>();
  start<T>(dw, product, parts, dw.numel());
  Tensor flat = dw.reshape({1, dw.numel()});
  sum_to(partial, flat);
}

}  // namespace

void run_implicit_gemm(const Convolution& convolution) {
  const ConvolutionIndex at(convolution.x.shape(), convolution.w.shape(), convolution.y.shape(),
                            convolution.options);
  dispatch_float(convolution.x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    Tensor x = convolution.x;
    Tensor y = convolution.y;
    const Tensor& w = convolution.w;
    switch (convolution.direction) {
      case Direction::kForward:
        start<T>(y, Forward<T>{at, x.data<T>(), w.data<T>(), y.data<T>()}, 1, 0);
        return;
      case Direction::kBackwardData:
        start<T>(x, BackwardData<T>{at, y.data<T>(), w.data<T>(), x.data<T>()}, 1, 0);
        return;
      case Direction::kBackwardWeight: run_backward_weight<T>(at, convolution); return;
    }
  });
}

}  // namespace ds::cuda
