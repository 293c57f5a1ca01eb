#include "layers/compensation/output_sums.h"

#include <algorithm>

#include "layers/compensation/vectors.h"

namespace ds {

OutputSums::OutputSums(int64_t outputs) : sums_(at(outputs)) {}

void OutputSums::add(const Tensor& y, const Tensor& now, const Tensor& plain) {
  const std::span<const float> of_float = y.span<float>();
  for (size_t i = 0; i < of_float.size(); ++i) {
    Sums& sums = sums_[i % sums_.size()];
    const double a = of_float[i];
    const double b = now.span<float>()[i];
    const double c = plain.span<float>()[i];
    sums.y += a;
    sums.now += b;
    sums.plain += c;
    sums.yy += a * a;
    sums.now_now += b * b;
    sums.plain_plain += c * c;
    sums.y_now += a * b;
    sums.y_plain += a * c;
  }
  count_ += y.numel() / static_cast<int64_t>(sums_.size());
}

OutputStatistics OutputSums::statistics(const std::vector<double>& scales, bool mean_is_free) const {
  OutputStatistics result(static_cast<int64_t>(sums_.size()));
  const double n = static_cast<double>(count_);
  for (size_t o = 0; o < sums_.size(); ++o) {
    const Sums& sums = sums_[o];
    const double s = 1.0 / scales[o];
    result.float_mean[o] = sums.y / n;
    result.mean[o] = sums.now / n;
    result.float_variance[o] = std::max(sums.yy / n - result.float_mean[o] * result.float_mean[o], 0.0);
    result.variance[o] = std::max(sums.now_now / n - result.mean[o] * result.mean[o], 0.0);
    double error = (sums.yy - 2.0 * s * sums.y_now + s * s * sums.now_now) / n;
    double plain_error = (sums.yy - 2.0 * sums.y_plain + sums.plain_plain) / n;
    if (mean_is_free) {
      const double shift = (sums.y - s * sums.now) / n;
      const double plain_shift = (sums.y - sums.plain) / n;
      error -= shift * shift;
      plain_error -= plain_shift * plain_shift;
    }
    result.error[o] = std::max(error, 0.0);
    result.plain_error[o] = std::max(plain_error, 0.0);
  }
  return result;
}

}  // namespace ds
