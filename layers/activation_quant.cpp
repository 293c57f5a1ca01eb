#include "layers/activation_quant.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/recompute.h"
#include "core/error.h"
#include "core/ops.h"
#include "layers/weighted_layer.h"

namespace ds {
namespace {

constexpr int kMinBits = 2;
constexpr int kMaxBits = 32;

/// A plain decimal number and nothing else; -1 otherwise.
int parse_number(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

ValueRange range_of(const Tensor& x) {
  const ops::Extremes extremes = ops::extremes(x);
  // A NaN stays, which fmin and fmax would drop.
  return {.low = extremes.minimum > 0.0 ? 0.0 : extremes.minimum,
          .high = extremes.maximum < 0.0 ? 0.0 : extremes.maximum};
}

/// The most fraction bits with which both ends of the range are representable.
int fraction_bits_for(const FixedPointOptions& format, const ValueRange& range) {
  const double scale = std::max(range.high / format.high, format.low < 0.0 ? range.low / format.low : 0.0);
  if (!(scale > 0.0) || !std::isfinite(scale)) return 0;
  return std::clamp(std::ilogb(1.0 / scale), -kMaxFractionBits, kMaxFractionBits);
}

}  // namespace

std::string ActivationFormat::str() const {
  return fraction_bits ? fmt::format("{}.{}", bits - *fraction_bits, *fraction_bits)
                       : fmt::format("{}", bits);
}

ActivationFormat parse_activation_format(std::string_view text) {
  const size_t dot = text.find('.');
  const int first = parse_number(text.substr(0, dot));
  if (dot == std::string_view::npos) {
    DS_CHECK(first >= kMinBits && first <= kMaxBits,
             "[activation_format] found '{}', expected I.F (16.16) or a number of bits from {} to {}", text,
             kMinBits, kMaxBits);
    return {.bits = first, .fraction_bits = {}};
  }
  const int fraction = parse_number(text.substr(dot + 1));
  DS_CHECK(
      first >= 1 && first <= kMaxBits && fraction >= 0 && fraction <= kMaxBits,
      "[activation_format] found '{}', expected I.F with at least 1 integer bit (the sign) and at most {} "
      "bits in all, such as 16.16",
      text, kMaxBits);
  DS_CHECK(first + fraction >= kMinBits && first + fraction <= kMaxBits,
           "[activation_format] found '{}', {} bits in all, expected {} to {}", text, first + fraction,
           kMinBits, kMaxBits);
  return {.bits = first + fraction, .fraction_bits = fraction};
}

FixedPointOptions choose_format(const ActivationQuantOptions& options, const ValueRange& range) {
  const ActivationFormat& format = options.format;
  const bool is_signed = format.fraction_bits || !options.unsigned_inputs || range.low < 0.0;
  const double count = std::ldexp(1.0, format.bits);
  FixedPointOptions chosen{.low = is_signed ? -count / 2 : 0.0,
                           .high = (is_signed ? count / 2 : count) - 1.0,
                           .rounding = options.rounding};
  chosen.fraction_bits = format.fraction_bits.value_or(0);
  if (!format.fraction_bits) chosen.fraction_bits = fraction_bits_for(chosen, range);
  if (options.paper_top) chosen.high = count / 2 - std::ldexp(1.0, chosen.fraction_bits);
  return chosen;
}

ActivationQuant::ActivationQuant(const ActivationQuantOptions& options)
    : options_(options), input_range_(Tensor::zeros({2})) {
  const ActivationFormat& format = options.format;
  DS_CHECK(format.bits >= kMinBits && format.bits <= kMaxBits,
           "[activation_quant] {} bits, expected {} to {}", format.bits, kMinBits, kMaxBits);
  const int fraction = format.fraction_bits.value_or(0);
  DS_CHECK(fraction >= 0 && fraction < format.bits,
           "[activation_quant] {} fraction bits of {}, expected 0 to {}", fraction, format.bits,
           format.bits - 1);
  DS_CHECK(options.rounding != Rounding::kStochastic,
           "[activation_quant] rounding is stochastic, expected nearest or floor");
  DS_CHECK(!options.paper_top || (format.fraction_bits && format.bits - fraction >= 2),
           "[activation_quant] paper_top with format {}, expected I.F with at least 2 integer bits",
           format.str());
  DS_CHECK(!options.unsigned_inputs || !format.fraction_bits,
           "[activation_quant] unsigned_inputs with format {}, expected a number of bits: I.F has a sign",
           format.str());
  DS_CHECK(options.momentum > 0.0 && options.momentum <= 1.0,
           "[activation_quant] momentum is {}, expected 0 < momentum <= 1", options.momentum);
}

std::optional<ValueRange> ActivationQuant::learnt_range() const {
  const std::vector<float> running = input_range_.to_vector<float>();
  if (running[0] == 0.0F && running[1] == 0.0F) return std::nullopt;
  return ValueRange{.low = running[0], .high = running[1]};
}

ValueRange ActivationQuant::input_range(const Tensor& x, bool training) {
  const bool learning = training && !tracing();
  if (learning && recomputing()) return last_range_;
  const std::optional<ValueRange> known = learnt_range();
  if (known && !learning) return *known;
  ValueRange range = range_of(x);
  if (!learning) return range;  // and nothing is written: threads may evaluate one module at a time
  if (std::isfinite(range.low) && std::isfinite(range.high)) {
    if (known) {
      range.low = known->low + options_.momentum * (range.low - known->low);
      range.high = known->high + options_.momentum * (range.high - known->high);
    }
    input_range_.copy_from(
        Tensor::from(std::vector<float>{static_cast<float>(range.low), static_cast<float>(range.high)}, {2}));
  }
  last_range_ = range;
  return range;
}

Variable ActivationQuant::round_input(const Variable& x, bool training) {
  if (options_.format.fraction_bits) return fixed_point(x, choose_format(options_, ValueRange{}));
  // A format of whatever is traced, zeros perhaps, would be taken for one of the training.
  if (tracing() && !learnt_range()) return x;
  return fixed_point(x, choose_format(options_, input_range(x.value(), training)));
}

Variable ActivationQuant::round_bias(const Variable& bias) const {
  ActivationQuantOptions options = options_;
  options.unsigned_inputs = false;
  return fixed_point(bias, choose_format(options, range_of(bias.value())));
}

std::vector<NamedBuffer> ActivationQuant::buffers() {
  if (options_.format.fraction_bits) return {};
  return {{.name = "input_range", .value = &input_range_}};
}

void quantize_activations(Module& module, const std::optional<ActivationQuantOptions>& options) {
  for (const NamedLayer& named : weighted_layers(module)) named.layer->quantize_activations(options);
}

std::optional<ActivationQuantOptions> activation_quant_options(Module& module) {
  const std::vector<NamedLayer> layers = weighted_layers(module);
  const ActivationQuant* quant = layers.empty() ? nullptr : layers.front().layer->activation_quant();
  return quant == nullptr ? std::nullopt : std::optional(quant->options());
}

}  // namespace ds
