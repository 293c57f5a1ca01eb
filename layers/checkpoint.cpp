#include "layers/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/ops.h"
#include "layers/checkpoint_metadata.h"

namespace ds {
namespace {

constexpr std::string_view kOptimizerPrefix = "optimizer.";
constexpr std::string_view kExtraPrefix = "extra.";

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

bool belongs_to_run(std::string_view name) {
  return name.starts_with(kOptimizerPrefix) || name.starts_with(kExtraPrefix);
}

// ---- Saving

std::vector<NamedTensor> model_tensors(Module& model) {
  std::vector<NamedTensor> tensors;
  for (const NamedParameter& parameter : model.named_parameters()) {
    tensors.push_back({parameter.name, parameter.layout.to_file(parameter.value.value())});
  }
  for (const NamedBuffer& buffer : model.named_buffers()) tensors.push_back({buffer.name, *buffer.value});
  for (const NamedTensor& tensor : tensors) {
    DS_CHECK(!belongs_to_run(tensor.name), "[save_model] tensor '{}': a name may not begin with {} or {}",
             tensor.name, kOptimizerPrefix, kExtraPrefix);
  }
  return tensors;
}

Metadata model_metadata(Module& model, const ModelInfo& info) {
  LayerFormats formats;
  for (const NamedLayer& named : weighted_layers(model)) formats[named.path] = format_of(*named.layer);
  return describe_model(info, formats);
}

// ---- Loading

/// What loading will make of one layer. Nothing has been changed yet.
struct LayerPlan {
  std::string path;
  WeightedLayer* layer = nullptr;
  WeightPtr weight;             // null: the layer's own stays
  bool set_activation = false;  // false: the layer's own rounding stays
  std::optional<ActivationQuantOptions> activation = {};
};

WeightPtr make_empty_weight(const LayerFormat& format, const Weight& present) {
  const Tensor& sample = present.parameters().front().value.value();
  return make_weight(format.weight, Tensor::zeros(present.shape(), sample.dtype(), sample.device()),
                     {.layout = present.options().layout, .rounding = format.rounding});
}

/// Names of the tensors that serve training alone, where a file has none of them: they stay as they are.
std::set<std::string> left_out(const std::vector<TensorSpec>& found, Module& model) {
  std::set<std::string> names;
  for (const NamedParameter& parameter : model.named_parameters()) {
    if (parameter.training_only) names.insert(parameter.name);
  }
  for (const NamedBuffer& buffer : model.named_buffers()) {
    if (buffer.training_only) names.insert(buffer.name);
  }
  const size_t skipped = wrapper_prefix(found, model).size();
  const bool any = std::ranges::any_of(
      found, [&](const TensorSpec& tensor) { return names.contains(tensor.name.substr(skipped)); });
  return any ? std::set<std::string>{} : names;
}

/// What the file's metadata says of a model.
struct Wanted {
  LayerFormats formats = {};  // none: float weights
  bool ours = false;          // else nothing is said of rounding
};

std::vector<LayerPlan> plan_layers(const std::string& path, Wanted wanted,
                                   const std::set<std::string>& absent, Module& model) {
  std::vector<LayerPlan> plans;
  for (const NamedLayer& named : weighted_layers(model)) {
    const auto node = wanted.formats.extract(named.path);
    if (absent.contains(join(named.path, named.layer->weight().parameters().front().name))) continue;
    const LayerFormat format = node ? node.mapped() : LayerFormat{};
    const LayerFormat present = format_of(*named.layer);
    LayerPlan plan{.path = named.path, .layer = named.layer, .weight = nullptr};
    if (format.weight != present.weight || (format.weight && format.rounding != present.rounding)) {
      plan.weight = make_empty_weight(format, named.layer->weight());
    }
    plan.set_activation = wanted.ours && format.activation != present.activation;
    plan.activation = wanted.ours ? format.activation : present.activation;
    plans.push_back(std::move(plan));
  }
  DS_CHECK(wanted.formats.empty(),
           "[load_model] {}: its metadata speaks of a layer '{}', and the model has no convolution or linear "
           "layer of that name",
           path, wanted.formats.begin()->first);
  return plans;
}

/// A tensor that the model will have once the plan is carried out.
struct Expected {
  std::string name;
  Shape shape;  // in memory
  DType dtype = DType::kF32;
  FileLayout layout = {};
  bool required = true;
};

std::vector<Expected> expected_tensors(Module& model, const std::vector<LayerPlan>& plans,
                                       std::set<std::string> leaving, bool ours) {
  std::vector<Expected> expected;
  const auto add = [&](const std::string& name, const Tensor& value, const FileLayout& layout,
                       bool required) {
    expected.push_back({name, value.shape(), value.dtype(), layout, required});
  };
  for (const LayerPlan& plan : plans) {
    if (plan.weight != nullptr) {
      for (const auto& old : plan.layer->weight().parameters()) leaving.insert(join(plan.path, old.name));
      for (const auto& parameter : plan.weight->parameters()) {
        add(join(plan.path, parameter.name), parameter.value.value(), parameter.layout, true);
      }
    }
    if (plan.layer->activation_quant() != nullptr) {
      ActivationQuant old = *plan.layer->activation_quant();
      for (const NamedBuffer& buffer : old.buffers()) leaving.insert(join(plan.path, buffer.name));
    }
    if (plan.activation) {
      ActivationQuant planned(*plan.activation);
      for (const NamedBuffer& buffer : planned.buffers()) {
        add(join(plan.path, buffer.name), *buffer.value, {}, ours);  // other programs know of no such range
      }
    }
  }
  for (const NamedParameter& parameter : model.named_parameters()) {
    if (!leaving.contains(parameter.name))
      add(parameter.name, parameter.value.value(), parameter.layout, true);
  }
  for (const NamedBuffer& buffer : model.named_buffers()) {
    if (!leaving.contains(buffer.name)) add(buffer.name, *buffer.value, {}, true);
  }
  return expected;
}

std::string describe_tensor(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", name_of(dtype), shape.str());
}

/// Lines of an error, of which the first are kept and the rest are counted.
class Listing {
 public:
  void add(const std::string& line) {
    if (count_++ < kMost) text_ += "\n  " + line;
  }
  std::string str(const char* kind) const {
    return count_ <= kMost ? text_ : fmt::format("{}\n  and {} more {}", text_, count_ - kMost, kind);
  }

 private:
  static constexpr int64_t kMost = 20;
  int64_t count_ = 0;
  std::string text_;
};

/// Throws one Error for all tensors of a file that do not fit; `prefix` is before the file's names.
void check_fit(const std::string& path, const std::vector<TensorSpec>& found, const std::string& prefix,
               const std::vector<Expected>& expected) {
  std::map<std::string_view, const TensorSpec*> unused;
  for (const TensorSpec& tensor : found) unused[tensor.name] = &tensor;
  Listing missing;
  Listing different;
  Listing unexpected;
  for (const Expected& tensor : expected) {
    const std::string name = prefix + tensor.name;
    const Shape shape = tensor.layout.file_shape(tensor.shape);
    const auto node = unused.extract(name);
    if (node.empty()) {
      if (!tensor.required) continue;
      missing.add(fmt::format("missing: {}, expected {}", name, describe_tensor(tensor.dtype, shape)));
      continue;
    }
    const TensorSpec& spec = *node.mapped();
    const bool type_fits = spec.dtype == tensor.dtype || (is_float(spec.dtype) && is_float(tensor.dtype));
    if (spec.shape != shape || !type_fits) {
      different.add(fmt::format("{}: found {}, expected {}", name, describe_tensor(spec.dtype, spec.shape),
                                describe_tensor(tensor.dtype, shape)));
    }
  }
  for (const auto& [name, spec] : unused) {
    if (belongs_to_run(name) || name.ends_with("num_batches_tracked")) continue;
    unexpected.add(fmt::format("unexpected: {}, found {}", name, describe_tensor(spec->dtype, spec->shape)));
  }
  const std::string problems =
      missing.str("missing") + different.str("of another size or type") + unexpected.str("unexpected");
  DS_CHECK(problems.empty(), "[load_model] {} does not fit the model:{}", path, problems);
}

using Staged = std::map<std::string, Tensor>;

/// Reads every expected tensor into memory order, once all of them fit.
Staged stage(const SafetensorsFile& file, const std::string& prefix, const std::vector<Expected>& expected) {
  check_fit(file.path(), file.tensors(), prefix, expected);
  Staged staged;
  for (const Expected& tensor : expected) {
    const std::string name = prefix + tensor.name;
    if (!file.contains(name)) continue;  // nobody requires it
    staged[tensor.name] = tensor.layout.from_file(file.read(name).to(tensor.dtype), tensor.shape);
  }
  return staged;
}

/// Rounding makes a power of two of infinities, too: what is trained must be checked before it.
void check_masters(const SafetensorsFile& file, const std::vector<LayerPlan>& plans, const Staged& staged) {
  for (const LayerPlan& plan : plans) {
    const Weight& weight = plan.weight != nullptr ? *plan.weight : plan.layer->weight();
    if (!weight.format()) continue;
    for (const NamedParameter& parameter : weight.parameters()) {
      const std::string name = join(plan.path, parameter.name);
      DS_CHECK(std::isfinite(ops::sum_squares(staged.at(name))),
               "[load_model] {}: {} holds values that are not finite", file.path(), name);
    }
  }
}

/// Nothing here can fail for reasons that lie in the file.
void carry_out(std::vector<LayerPlan>& plans, const Staged& staged, Module& model) {
  for (LayerPlan& plan : plans) {
    if (plan.weight != nullptr) plan.layer->replace_weight(std::move(plan.weight));
    if (plan.set_activation) plan.layer->quantize_activations(plan.activation);
  }
  for (NamedParameter& parameter : model.named_parameters()) {
    const auto found = staged.find(parameter.name);
    if (found != staged.end()) parameter.value.mutable_value().copy_from(found->second);
  }
  for (const NamedBuffer& buffer : model.named_buffers()) {
    const auto found = staged.find(buffer.name);
    if (found != staged.end()) buffer.value->copy_from(found->second);
  }
  for (const LayerPlan& plan : plans) plan.layer->weight().clamp();
}

}  // namespace

std::string wrapper_prefix(const std::vector<TensorSpec>& found, const Module& model) {
  for (const std::string_view prefix : {"module.", "model."}) {
    const auto has_prefix = [&](const auto& tensor) { return tensor.name.starts_with(prefix); };
    if (std::ranges::none_of(model.named_parameters(), has_prefix) && std::ranges::all_of(found, has_prefix))
      return std::string(prefix);
  }
  return "";
}

void save_model(const std::string& path, Module& model, const ModelInfo& info) {
  write_safetensors(path, model_tensors(model), model_metadata(model, info));
}

void load_model(const SafetensorsFile& file, Module& model) {
  const bool ours = read_model_info(file).version > 0;
  const std::vector<TensorSpec> found = file.tensors();
  const std::set<std::string> absent = left_out(found, model);
  std::vector<LayerPlan> plans =
      plan_layers(file.path(), {.formats = read_layer_formats(file), .ours = ours}, absent, model);
  const Staged staged =
      stage(file, wrapper_prefix(found, model), expected_tensors(model, plans, absent, ours));
  check_masters(file, plans, staged);
  carry_out(plans, staged, model);
}

void check_tensors(const std::string& path, const std::vector<TensorSpec>& tensors, Module& model) {
  const std::set<std::string> absent = left_out(tensors, model);
  const std::vector<LayerPlan> plans = plan_layers(path, {}, absent, model);
  check_fit(path, tensors, wrapper_prefix(tensors, model), expected_tensors(model, plans, absent, false));
}

void save_training(const std::string& path, Module& model, const ModelInfo& info, const Optimizer& optimizer,
                   const TrainingState& state, const std::vector<NamedTensor>& extra) {
  std::vector<NamedTensor> tensors = model_tensors(model);
  const OptimizerState optimizer_state = optimizer.state();
  for (const auto& [name, value] : optimizer_state.tensors) {
    tensors.push_back({fmt::format("{}{}", kOptimizerPrefix, name), value});
  }
  for (const NamedTensor& tensor : extra) {
    tensors.push_back({fmt::format("{}{}", kExtraPrefix, tensor.name), tensor.value});
  }
  Metadata metadata = model_metadata(model, info);
  add_training({.state = state, .generator = default_generator(), .optimizer_step = optimizer_state.step},
               metadata);
  write_safetensors(path, tensors, metadata);
}

TrainingState read_training_state(const SafetensorsFile& file) { return read_training_metadata(file).state; }

TrainingState load_training(const SafetensorsFile& file, Optimizer& optimizer) {
  const TrainingMetadata training = read_training_metadata(file);
  OptimizerState state{.step = training.optimizer_step, .tensors = {}};
  for (const std::string& name : file.names()) {
    if (!name.starts_with(kOptimizerPrefix)) continue;
    state.tensors.emplace_back(name.substr(kOptimizerPrefix.size()), file.read(name));
  }
  try {
    optimizer.load_state(state);
  } catch (const Error& error) {
    fail("[load_training] {}: {}", file.path(), error.what());
  }
  if (training.generator) default_generator() = *training.generator;
  return training.state;
}

}  // namespace ds
