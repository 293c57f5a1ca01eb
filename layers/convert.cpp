#include "layers/convert.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/ops.h"
#include "core/random.h"
#include "layers/init.h"
#include "layers/weights/shift_ps.h"

namespace ds {
namespace {

/// P and S of a layer that was never float.
WeightPtr random_ps(const Weight& weight, ShiftFormat format, const WeightOptions& options) {
  const Tensor values = weight.rounded();
  const ShiftRange range = format.range();
  const bool convolution = weight.shape().rank() == 4;
  Tensor shift = Tensor::like(values);
  Tensor sign = Tensor::like(values);
  fill_uniform(shift, convolution ? -10.0 : range.p_min, convolution ? -1.0 : range.p_max,
               default_generator());
  fill_uniform(sign, -1.0, 1.0, default_generator());
  return std::make_unique<ShiftPsWeight>(shift, sign, format, options);
}

/// Of part after part, so that a layer of many weights is not there once more.
double relative_distance(const Tensor& rounded, const Tensor& original) {
  constexpr int64_t kPart = 1 << 22;
  const Tensor a = rounded.reshape({rounded.numel()});
  const Tensor b = original.reshape({original.numel()});
  double norm = 0.0;
  double distance = 0.0;
  for (int64_t begin = 0; begin < a.numel(); begin += kPart) {
    const int64_t end = std::min(begin + kPart, a.numel());
    norm += ops::sum_squares(b.slice(begin, end));
    distance +=
        ops::sum_squares(ops::arithmetic(Arithmetic::kSubtract, a.slice(begin, end), b.slice(begin, end)));
  }
  return norm > 0.0 ? std::sqrt(distance / norm) : 0.0;
}

int64_t count_zeros(const Tensor& values) {
  const Tensor host = values.to(Device{}).to(DType::kF32);
  return std::ranges::count(host.span<float>(), 0.0F);
}

ConvertedLayer convert(const NamedLayer& named, ShiftFormat format, const ConvertOptions& options) {
  const Weight& old = named.layer->weight();
  const Tensor original = old.rounded();
  const WeightOptions weight_options{.layout = old.options().layout, .rounding = options.rounding};
  const bool random = options.method == ShiftMethod::kPs && options.ps_init == PsInit::kRandom;
  WeightPtr weight =
      random ? random_ps(old, format, weight_options) : make_weight(format, original, weight_options);
  const Tensor rounded = weight->rounded();
  ConvertedLayer entry{
      .path = named.path,
      .converted = true,
      .weight = weight->describe(),
      .count = original.numel(),
      .rounding_error = relative_distance(rounded, original),
      .replaced_zeros = format.method == ShiftMethod::kQ && format.terms == 1 ? count_zeros(original) : 0,
      .rounded = count_exponents(rounded, format)};
  named.layer->replace_weight(std::move(weight));
  return entry;
}

bool is_within(const std::string& path, const std::string& module) {
  return path == module || path.starts_with(module + ".");
}

int bits_of(const std::string& path, const ConvertOptions& options) {
  int bits = options.weight_bits;
  size_t longest = 0;
  for (const auto& [module, given] : options.layer_bits) {
    if (!is_within(path, module) || module.size() < longest) continue;
    longest = module.size();
    bits = given;
  }
  return bits;
}

bool has_two_terms(const std::string& path, const ConvertOptions& options) {
  return std::ranges::any_of(options.two_term,
                             [&](const std::string& module) { return is_within(path, module); });
}

/// Refuses bits that there are not, also of layers that are not chosen, and paths that lead to no layer.
void check_layer_options(const std::vector<NamedLayer>& layers, const ConvertOptions& options) {
  ShiftFormat{.method = options.method, .bits = options.weight_bits}.range();
  for (const auto& [module, bits] : options.layer_bits) {
    ShiftFormat{.method = options.method, .bits = bits}.range();
    const bool found = std::ranges::any_of(
        layers, [&module = module](const NamedLayer& named) { return is_within(named.path, module); });
    DS_CHECK(found, "[convert] bits are given for \"{}\", but no layer with weights is there", module);
  }
  for (const auto& [path, offset] : options.layer_offsets) {
    const bool found =
        std::ranges::any_of(layers, [&path = path](const NamedLayer& named) { return named.path == path; });
    DS_CHECK(found, "[convert] an exponent offset is given for \"{}\", but no layer with weights is there",
             path);
  }
}

/// Refuses two terms where they lead to no layer that is converted, and what they cannot be.
void check_two_term(const std::vector<PlannedLayer>& plan, const ConvertOptions& options) {
  for (const std::string& module : options.two_term) {
    const bool found = std::ranges::any_of(
        plan, [&](const PlannedLayer& layer) { return layer.format && is_within(layer.named.path, module); });
    DS_CHECK(found, "[convert] two terms are asked for in \"{}\", but no layer that is converted is there",
             module);
  }
  DS_CHECK(options.two_term.empty() || options.rounding == Rounding::kNearest,
           "[convert] weights of two terms are to be rounded stochastically, expected to the nearest");
  DS_CHECK(options.two_term.empty() || options.ps_init == PsInit::kConverted,
           "[convert] weights of two terms are to be random, expected converted ones");
}

void check_convertible(const NamedLayer& named) {
  const Weight& weight = named.layer->weight();
  DS_CHECK(!weight.format(), "[convert_to_shift] layer {} holds {} weights, expected float", named.path,
           weight.describe());
  DS_CHECK(std::isfinite(ops::sum_squares(weight.rounded())),
           "[convert_to_shift] layer {} has a weight that is not finite", named.path);
}

}  // namespace

ConvertPredicate all_but_first_and_last(Module& model) {
  const std::vector<NamedLayer> layers = weighted_layers(model);
  const std::string first = layers.empty() ? "" : layers.front().path;
  return [first](const std::string& path, int64_t depth_from_end) {
    return depth_from_end != 0 && path != first;
  };
}

std::vector<PlannedLayer> plan_conversion(Module& model, const ConvertOptions& options,
                                          const ConvertPredicate& predicate) {
  const std::vector<NamedLayer> layers = weighted_layers(model);
  check_layer_options(layers, options);
  std::vector<PlannedLayer> plan;
  for (const NamedLayer& named : layers) {
    const auto depth_from_end = static_cast<int64_t>(layers.size() - plan.size()) - 1;
    plan.push_back({.named = named});
    if (predicate && !predicate(named.path, depth_from_end)) continue;
    check_convertible(named);
    const auto offset = options.layer_offsets.find(named.path);
    plan.back().format = {.method = options.method,
                          .bits = bits_of(named.path, options),
                          .offset = offset == options.layer_offsets.end() ? 0 : offset->second,
                          .terms = has_two_terms(named.path, options) ? 2 : 1};
    plan.back().format->range();  // refuses what there is not
  }
  check_two_term(plan, options);
  return plan;
}

ConvertReport convert_to_shift(Module& model, const ConvertOptions& options,
                               const ConvertPredicate& predicate) {
  ConvertReport report;
  for (const auto& [named, format] : plan_conversion(model, options, predicate)) {
    const Weight& weight = named.layer->weight();
    report.layers.push_back(format ? convert(named, *format, options)
                                   : ConvertedLayer{.path = named.path,
                                                    .weight = weight.describe(),
                                                    .count = weight.shape().numel(),
                                                    .rounded = {}});
  }
  return report;
}

int64_t ConvertReport::converted() const {
  return std::count_if(layers.begin(), layers.end(),
                       [](const ConvertedLayer& layer) { return layer.converted; });
}

std::string ConvertReport::shares() const {
  size_t width = 5;
  std::set<int> exponents;
  for (const ConvertedLayer& layer : layers) {
    width = std::max(width, layer.path.size());
    for (const auto& [p, number] : layer.rounded.exponents) exponents.insert(p);
  }
  std::string text = fmt::format("{:<{}}  {:>6}", "p, in %", width, "zero");
  for (const int p : exponents) text += fmt::format("{:>6}", p);
  for (const ConvertedLayer& layer : layers) {
    if (!layer.converted || layer.rounded.count == 0) continue;
    const double percent = 100.0 / static_cast<double>(layer.rounded.count);
    text += fmt::format("\n{:<{}}  {:>6.1f}", layer.path, width,
                        percent * static_cast<double>(layer.rounded.zeros));
    for (const int p : exponents) {
      const auto found = layer.rounded.exponents.find(p);
      const int64_t number = found == layer.rounded.exponents.end() ? 0 : found->second;
      text += fmt::format("{:>6.1f}", percent * static_cast<double>(number));
    }
  }
  return text + '\n';
}

std::string ConvertReport::str() const {
  size_t width = 5;
  for (const ConvertedLayer& layer : layers) width = std::max(width, layer.path.size());
  std::string text = fmt::format("{:<{}}  {:<16}  {:>9}  {:>7}  {:>7}  {:>8}  {}\n", "layer", width, "weight",
                                 "weights", "error", "zeros", "replaced", "p");
  for (const ConvertedLayer& layer : layers) {
    text += fmt::format("{:<{}}  {:<16}  {:>9}", layer.path, width, layer.weight, layer.count);
    if (layer.converted) {
      const auto& exponents = layer.rounded.exponents;
      const std::string p =
          exponents.empty() ? "none"
                            : fmt::format("{} .. {}", exponents.begin()->first, exponents.rbegin()->first);
      text += fmt::format(
          "  {:>5.2f} %  {:>5.2f} %  {:>8}  {}", 100.0 * layer.rounding_error,
          100.0 * static_cast<double>(layer.rounded.zeros) / static_cast<double>(layer.rounded.count),
          layer.replaced_zeros, p);
    }
    text += '\n';
  }
  return text + fmt::format("{} of {} layers converted\n", converted(), layers.size());
}

Variable decay_loss(Module& model, double weight_decay) {
  Variable total;
  for (const NamedLayer& named : weighted_layers(model)) {
    const Variable penalty = named.layer->weight().decay_penalty();
    if (penalty.defined()) total = total.defined() ? total + penalty : penalty;
  }
  return total.defined() ? total * (weight_decay / 2.0) : total;
}

}  // namespace ds
