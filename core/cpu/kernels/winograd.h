// Transforms of Winograd's minimal filtering F(4x4, 3x3), NHWC, one source compiled once per instruction set
// (Lavin & Gray, "Fast algorithms for convolutional neural networks", CVPR 2016).
//
// A tile of 4x4 output pixels of a 3x3 convolution with stride 1 reads 6x6 input pixels d. With the points
// 0, 1, -1, 2, -2 and infinity:
//
//   y  = A^T [sum over channels of (G g G^T) * (B^T d B)] A      36 products a channel instead of 144
//   dg = G^T [sum over tiles of (B^T d B) * (A dy A^T)] G
//
// where * is elementwise: for each of the 36 positions the sum is a matrix product, which the kernels of
// direct.h compute. In between, a value of position s and row r stands at [s * pitch + r * row length].
#pragma once

#include <cstdint>

namespace ds::cpu {

inline constexpr int kWinogradOutput = 4;  // side of a tile of outputs
inline constexpr int kWinogradInput = 6;   // and of the inputs it reads
inline constexpr int kWinogradPositions = kWinogradInput * kWinogradInput;
inline constexpr int kWinogradPixels = kWinogradOutput * kWinogradOutput;

/// The kernels of one instruction set. Pixels are given one by one: those outside the image point to zeros,
/// or to memory that nobody reads.
struct WinogradKernels {
  /// v = B^T d B of one tile: `pixels` are 6x6, row by row. The kernels of bf16 write v and z as bf16 values,
  /// two in a float's place.
  void (*input)(const float* const* pixels, int64_t channels, float* v, int64_t pitch);
  /// y = A^T m A + bias, of one tile: `pixels` are 4x4; bias may be null.
  void (*output)(const float* m, int64_t pitch, const float* bias, int64_t outputs, float* const* pixels);
  /// z = A dy A^T of one tile: `pixels` are 4x4.
  void (*gradient)(const float* const* pixels, int64_t outputs, float* z, int64_t pitch);
  /// u = G g G^T of `count` filters side by side: g is [9][count]. `streams`: u past the caches (aligned, and
  /// count a multiple of the lanes).
  void (*filter)(const float* g, int64_t count, float* u, int64_t pitch, bool streams);
  /// dg = G^T du G: dg is [9][count].
  void (*filter_gradient)(const float* du, int64_t pitch, int64_t count, float* dg);
};

extern const WinogradKernels kWinograd__avx512_bf16;
extern const WinogradKernels kWinograd__avx512;
extern const WinogradKernels kWinograd__avx2;
extern const WinogradKernels kWinograd__generic;

}  // namespace ds::cpu
