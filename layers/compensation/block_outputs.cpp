#include "layers/compensation/block_outputs.h"

#include <algorithm>

#include "core/ops.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

/// Over output places, of one output.
struct Sums {
  double y = 0.0, now = 0.0, plain = 0.0;
  double yy = 0.0, now_now = 0.0, plain_plain = 0.0;
  double y_now = 0.0, y_plain = 0.0;
};

std::vector<Sums> sums_of(const Tensor& y, const Tensor& now, const Tensor& plain) {
  std::vector<Sums> result(at(y.size(-1)));
  for (int64_t i = 0; i < y.numel(); ++i) {
    Sums& sums = result[at(i) % result.size()];
    const double a = y.data<float>()[i];
    const double b = now.data<float>()[i];
    const double c = plain.data<float>()[i];
    sums.y += a;
    sums.now += b;
    sums.plain += c;
    sums.yy += a * a;
    sums.now_now += b * b;
    sums.plain_plain += c * c;
    sums.y_now += a * b;
    sums.y_plain += a * c;
  }
  return result;
}

/// Mean square of x - y, about its mean where that is free, from means and mean products.
double mean_square(double x, double y, double xx, double yy, double xy, bool mean_is_free) {
  const double shift = mean_is_free ? x - y : 0.0;
  return std::max(xx - 2.0 * xy + yy - shift * shift, 0.0);
}

void add_rows(Tensor& sums, int64_t images, int64_t begin, const Tensor& part) {
  if (!sums.defined()) sums = Tensor::zeros(part.shape().with(0, images));
  Tensor rows = sums.slice(begin, begin + part.size(0));
  rows.copy_from(ops::arithmetic(Arithmetic::kAdd, rows, part));
}

}  // namespace

void BlockOutputs::add(int64_t begin, const Tensor& y, const Tensor& now, const Tensor& plain) {
  add_rows(y_, images_, begin, y);
  add_rows(now_, images_, begin, now);
  add_rows(plain_, images_, begin, plain);
}

Tensor BlockOutputs::wanted(int64_t begin, const Tensor& share) const {
  if (!y_.defined()) return share;
  const int64_t end = begin + share.size(0);
  const Tensor missing = ops::arithmetic(Arithmetic::kSubtract, y_.slice(begin, end), now_.slice(begin, end));
  return ops::arithmetic(Arithmetic::kAdd, share, missing);
}

OutputStatistics BlockOutputs::statistics(const std::vector<double>& scales, bool mean_is_free) const {
  const std::vector<Sums> by_output = sums_of(y_, now_, plain_);
  OutputStatistics result(static_cast<int64_t>(by_output.size()));
  const double n = static_cast<double>(y_.numel()) / static_cast<double>(by_output.size());
  for (size_t o = 0; o < by_output.size(); ++o) {
    const Sums& sums = by_output[o];
    const double y = sums.y / n;
    const double now = sums.now / n;
    const double scale = scales[o];
    result.float_mean[o] = y;
    result.mean[o] = scale * now;
    result.float_variance[o] = std::max(sums.yy / n - y * y, 0.0);
    result.variance[o] = std::max(scale * scale * (sums.now_now / n - now * now), 0.0);
    result.error[o] = mean_square(y, now, sums.yy / n, sums.now_now / n, sums.y_now / n, mean_is_free);
    result.plain_error[o] =
        mean_square(y, sums.plain / n, sums.yy / n, sums.plain_plain / n, sums.y_plain / n, mean_is_free);
  }
  return result;
}

}  // namespace ds
