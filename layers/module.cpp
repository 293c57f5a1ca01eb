#include "layers/module.h"

#include <algorithm>

#include "autograd/recompute.h"
#include "core/error.h"

namespace ds {
namespace {

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : name.empty() ? path : path + "." + name;
}

/// Each of `blocks` matrices rows x columns transposed, under a new shape.
Tensor transpose_blocks(const Tensor& x, int64_t rows, int64_t columns, const Shape& shape) {
  const Tensor host = x.to(Device{});
  Tensor y = Tensor::empty(shape, x.dtype());
  const int64_t block = rows * columns;
  dispatch_any(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* in = host.data<T>();
    T* out = y.data<T>();
    for (int64_t first = 0; first < x.numel(); first += block) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < columns; ++column) {
          out[first + column * rows + row] = in[first + row * columns + column];
        }
      }
    }
  });
  return y.to(x.device());
}

}  // namespace

Shape FileLayout::file_shape(const Shape& memory) const {
  if (kind != Kind::kConvolution) return memory;
  DS_CHECK(memory.rank() == 4, "[file_layout] convolution weight has shape {}, expected O,kh,kw,I",
           memory.str());
  return {memory[0], memory[3], memory[1], memory[2]};
}

Tensor FileLayout::to_file(const Tensor& memory) const {
  const Shape& shape = memory.shape();
  switch (kind) {
    case Kind::kSame: return memory;
    case Kind::kConvolution:
      return transpose_blocks(memory, shape[1] * shape[2], shape[3], file_shape(shape));
    case Kind::kFlattened: return transpose_blocks(memory, flattened[0] * flattened[1], flattened[2], shape);
  }
  return memory;
}

Tensor FileLayout::from_file(const Tensor& file, const Shape& memory) const {
  DS_CHECK(file.shape() == file_shape(memory), "[file_layout] file has shape {}, expected {}",
           file.shape().str(), file_shape(memory).str());
  switch (kind) {
    case Kind::kSame: return file;
    case Kind::kConvolution: return transpose_blocks(file, memory[3], memory[1] * memory[2], memory);
    case Kind::kFlattened: return transpose_blocks(file, flattened[2], flattened[0] * flattened[1], memory);
  }
  return file;
}

namespace {

thread_local int calls_in_progress = 0;

class CallScope {
 public:
  CallScope() { ++calls_in_progress; }
  ~CallScope() { --calls_in_progress; }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
};

}  // namespace

Variable Module::operator()(const Variable& x) {
  DS_CHECK(
      calls_in_progress == 0 || !name_.empty() || named_parameters().empty(),
      "[module] {} is called within another module and belongs to none: register it there with add(name, "
      "...)",
      describe());
  const CallScope call;
  const TraceScope scope(name_);
  if (!recompute_ || !training_) return forward(x);
  const auto checked_forward = [this](const Variable& input) {
    DS_CHECK(training_, "[recompute] {} left training between its forward and its backward pass", describe());
    return forward(input);
  };
  return recompute(checked_forward, x);
}

void Module::adopt(const std::string& name, std::shared_ptr<Module> child) {
  DS_CHECK(child != nullptr, "[module] child {} is not there", name);
  DS_CHECK(!name.empty() && name.find('.') == std::string::npos,
           "[module] a child is named '{}', expected a name without dots", name);
  DS_CHECK(child->name_.empty(), "[module] child {} belongs to a module already, as {}", name, child->name_);
  const bool taken = std::any_of(children_.begin(), children_.end(),
                                 [&](const auto& other) { return other->name_ == name; });
  DS_CHECK(!taken, "[module] there are two children named {}", name);
  child->name_ = name;
  children_.push_back(std::move(child));
}

std::vector<NamedParameter> Module::named_parameters() const {
  std::vector<NamedParameter> all = own_parameters();
  for (const auto& child : children_) {
    for (NamedParameter& parameter : child->named_parameters()) {
      parameter.name = join(child->name_, parameter.name);
      all.push_back(std::move(parameter));
    }
  }
  if (training_only_) {
    for (NamedParameter& parameter : all) parameter.training_only = true;
  }
  return all;
}

std::vector<Variable> Module::parameters() const {
  std::vector<Variable> all;
  for (NamedParameter& parameter : named_parameters()) all.push_back(std::move(parameter.value));
  return all;
}

std::vector<NamedBuffer> Module::named_buffers() {
  std::vector<NamedBuffer> all = own_buffers();
  for (const auto& child : children_) {
    for (NamedBuffer& buffer : child->named_buffers()) {
      buffer.name = join(child->name_, buffer.name);
      all.push_back(std::move(buffer));
    }
  }
  if (training_only_) {
    for (NamedBuffer& buffer : all) buffer.training_only = true;
  }
  return all;
}

void Module::for_each(const std::function<void(const std::string& path, Module& module)>& visit) {
  visit("", *this);
  for (const auto& child : children_) {
    child->for_each(
        [&](const std::string& path, Module& module) { visit(join(child->name_, path), module); });
  }
}

void Module::train(bool on) {
  for_each([on](const std::string&, Module& module) { module.training_ = on; });
}

void Module::to(Device device) {
  for (Variable& parameter : parameters()) {
    parameter.mutable_value() = parameter.value().to(device);
    parameter.zero_grad();
  }
  for (const NamedBuffer& buffer : named_buffers()) *buffer.value = buffer.value->to(device);
}

void Module::zero_grad() {
  for (Variable& parameter : parameters()) parameter.zero_grad();
}

EvaluationScope::EvaluationScope(Module& module) {
  module.for_each([&](const std::string&, Module& part) { modes_.emplace_back(&part, part.training()); });
  module.eval();
}

EvaluationScope::~EvaluationScope() {
  // Parents first: each has the last word.
  for (const auto& [part, training] : modes_) part->train(training);
}

Graph trace(Module& module, const Tensor& sample) {
  const EvaluationScope evaluation(module);
  for (NamedParameter& parameter : module.named_parameters()) parameter.value.set_name(parameter.name);
  return trace([&](const Variable& x) { return module.forward(x); }, sample);
}

}  // namespace ds
