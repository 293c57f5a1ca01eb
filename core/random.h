// Random numbers: Philox 4x32-10 (Salmon et al., SC 2011), counter-based.
//
// Draw number n of stream s under seed k is a pure function of (k, s, n): the same integers and uniforms on
// every device and for any number of threads. Normals are drawn on the host.
#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace ds {

/// One Philox block: four 32-bit words from a 128-bit counter and a 64-bit key.
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// Block `block` of stream `stream` under `seed`: words 4 block to 4 block + 3.
constexpr std::array<uint32_t, 4> philox_block(uint64_t seed, uint64_t stream, uint64_t block) {
  return philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                     static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

/// Word `index` of stream `stream` under `seed`.
constexpr uint32_t random_word(uint64_t seed, uint64_t stream, uint64_t index) {
  return philox_block(seed, stream, index / 4)[index % 4];
}

/// A word as a uniform number in [0, 1) with 24 bits, exact in float32.
constexpr float uniform_from_word(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24F; }

/// A seed, a stream and a position in it. Copyable; its three numbers are its whole state.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint64_t seed() const { return seed_; }
  uint64_t stream() const { return stream_; }
  uint64_t position() const { return position_; }
  void set_position(uint64_t position) { position_ = position; }
  /// Reserves `count` words and returns the position of the first: kernels draw from there on their own.
  uint64_t reserve(uint64_t count);

  uint32_t word() { return random_word(seed_, stream_, position_++); }
  /// Uniform in [0, 1).
  float uniform() { return uniform_from_word(word()); }
  /// Uniform integer in [0, bound), unbiased (rejection). bound >= 1.
  uint32_t below(uint32_t bound);
  /// Standard normal (Box-Muller in double, one value a pair of words).
  double normal();

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t position_ = 0;
};

/// The generator that initialisation, dropout and stochastic rounding draw from unless given another.
Generator& default_generator();
/// Restarts the default generator.
void manual_seed(uint64_t seed);

/// Fills a float tensor on any device with U[low, high) or N(mean, deviation), drawn on the host in row-major
/// order.
void fill_uniform(Tensor& tensor, double low, double high, Generator& generator);
void fill_normal(Tensor& tensor, double mean, double deviation, Generator& generator);

}  // namespace ds
