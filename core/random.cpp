#include "core/random.h"

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/parallel.h"

namespace ds {
namespace {

/// Each element is drawn from `words` words of its own.
template <class Draw>
void fill_on_host(const char* operation, Tensor& tensor, Generator& generator, uint64_t words, Draw draw) {
  Tensor host = tensor.device() == Device{} ? tensor : Tensor::empty(tensor.shape(), tensor.dtype());
  const uint64_t first = generator.reserve(words * static_cast<uint64_t>(tensor.numel()));
  dispatch_float(tensor.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    T* values = host.data<T>();
    parallel_for(tensor.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      Generator own = generator;
      own.set_position(first + words * static_cast<uint64_t>(begin));
      for (int64_t i = begin; i < end; ++i) values[i] = static_cast<T>(draw(own));
    });
  });
  if (!host.same_memory(tensor)) tensor.copy_from(host);
}

}  // namespace

uint64_t Generator::reserve(uint64_t count) {
  const uint64_t first = position_;
  position_ += count;
  return first;
}

uint32_t Generator::below(uint32_t bound) {
  DS_CHECK(bound >= 1, "[random] an integer below {}, expected a bound of at least 1", bound);
  const uint32_t rejected =
      (0U - bound) % bound;  // 2^32 mod bound: words below it would favour small results
  uint32_t drawn = word();
  while (drawn < rejected) drawn = word();
  return drawn % bound;
}

double Generator::normal() {
  const double radius_word =
      (static_cast<double>(word()) + 1.0) * 0x1p-32;  // in (0, 1]: its logarithm is finite
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(word()) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(radius_word)) * std::cos(angle);
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

void fill_uniform(Tensor& tensor, double low, double high, Generator& generator) {
  fill_on_host("fill_uniform", tensor, generator, 1,
               [&](Generator& own) { return low + (high - low) * static_cast<double>(own.uniform()); });
}

void fill_normal(Tensor& tensor, double mean, double deviation, Generator& generator) {
  fill_on_host("fill_normal", tensor, generator, 2,
               [&](Generator& own) { return mean + deviation * own.normal(); });
}

}  // namespace ds
