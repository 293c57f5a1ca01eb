#include "autograd/optim/ema.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/ops.h"

namespace ds {

Ema::Ema(std::vector<Variable> parameters, const EmaOptions& options, std::vector<Tensor*> buffers)
    : parameters_(std::move(parameters)), buffers_(std::move(buffers)), options_(options) {
  DS_CHECK(options.decay >= 0.0 && options.decay < 1.0, "[ema] decay is {}, expected 0 <= decay < 1",
           options.decay);
  std::set<const void*> known;
  for (const Variable& parameter : parameters_) {
    DS_CHECK(known.insert(parameter.id()).second, "[ema] a parameter is listed twice");
    averages_.push_back(parameter.value().clone());
  }
  for (const Tensor* buffer : buffers_) averages_.push_back(buffer->clone());
}

void Ema::check_swapped_out(const char* what) const {
  DS_CHECK(!swapped_, "[ema] {} while the averages are swapped in: swap() first", what);
}

void Ema::update() {
  check_swapped_out("update");
  ++updates_;
  const auto t = static_cast<double>(updates_);
  const double decay = std::min(options_.decay, (1.0 + t) / (10.0 + t));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    DS_CHECK(parameters_[i].retired().empty(),
             "[ema] parameter {} was replaced ({}): make a new Ema from the model's parameters", i,
             parameters_[i].retired());
    ops::lerp(parameters_[i].value(), 1.0 - decay, averages_[i]);
  }
  for (size_t i = 0; i < buffers_.size(); ++i)
    ops::lerp(*buffers_[i], 1.0 - decay, averages_[parameters_.size() + i]);
}

void Ema::swap() {
  for (size_t i = 0; i < parameters_.size(); ++i) std::swap(parameters_[i].mutable_value(), averages_[i]);
  for (size_t i = 0; i < buffers_.size(); ++i) std::swap(*buffers_[i], averages_[parameters_.size() + i]);
  swapped_ = !swapped_;
}

std::string Ema::name_of_average(size_t i) const {
  const size_t parameters = parameters_.size();
  return i < parameters ? std::to_string(i) : "buffer." + std::to_string(i - parameters);
}

EmaState Ema::state() const {
  check_swapped_out("state");
  EmaState state{.updates = updates_, .tensors = {}};
  for (size_t i = 0; i < averages_.size(); ++i) state.tensors.emplace_back(name_of_average(i), averages_[i]);
  return state;
}

void Ema::load_state(const EmaState& state) {
  check_swapped_out("load");
  DS_CHECK(state.tensors.size() == averages_.size(), "[ema] state of {} averages, expected {}",
           state.tensors.size(), averages_.size());
  for (size_t i = 0; i < averages_.size(); ++i) {
    const auto& [name, tensor] = state.tensors[i];
    DS_CHECK(name == name_of_average(i) && tensor.defined() && tensor.shape() == averages_[i].shape() &&
                 tensor.dtype() == averages_[i].dtype(),
             "[ema] state \"{}\": found {} {}, expected \"{}\" with {} {}", name, name_of(tensor.dtype()),
             tensor.shape().str(), name_of_average(i), name_of(averages_[i].dtype()),
             averages_[i].shape().str());
  }
  for (size_t i = 0; i < averages_.size(); ++i) averages_[i].copy_from(state.tensors[i].second);
  updates_ = state.updates;
}

}  // namespace ds
