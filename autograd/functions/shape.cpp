#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

Variable reshaped(NodeInfo info, const Variable& x, const Shape& shape) {
  return record(std::move(info), x.value().reshape(shape),
                [shape = x.shape()](const Tensor& dy) { return Gradients{dy.reshape(shape)}; });
}

/// Channels [from, from + count).
Tensor channels(const Tensor& x, int64_t from, int64_t count) {
  Tensor y = Tensor::empty(x.shape().with(-1, count), x.dtype(), x.device());
  ops::copy_channels(x, from, count, y, 0);
  return y;
}

/// The sum of the channels; all other sizes must agree.
int64_t joined_channels(const std::vector<Variable>& parts) {
  DS_CHECK(!parts.empty(), "[concat] no parts, expected at least one");
  const Shape& first = parts[0].shape();
  DS_CHECK(first.rank() >= 1, "[concat] part 0 is a scalar, expected ...,C");
  int64_t total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Shape& shape = parts[i].shape();
    DS_CHECK(shape.rank() == first.rank() && shape.with(-1, 0) == first.with(-1, 0),
             "[concat] part {} has shape {}, expected that of part 0, {}, but for the channels", i,
             shape.str(), first.str());
    total += shape[-1];
  }
  return total;
}

}  // namespace

Variable reshape(const Variable& x, const Shape& shape) {
  return reshaped({.kind = "reshape", .inputs = {x}, .options = shape}, x, shape);
}

Variable flatten(const Variable& x) {
  DS_CHECK(x.shape().rank() >= 1, "[flatten] input is a scalar, expected N,...");
  int64_t features = 1;
  for (const int64_t size : x.shape().sizes().subspan(1)) features *= size;
  return reshaped({.kind = "flatten", .inputs = {x}}, x, {x.size(0), features});
}

Variable concat(const std::vector<Variable>& parts) {
  const int64_t total = joined_channels(parts);
  const Tensor& first = parts[0].value();
  Tensor y = Tensor::empty(first.shape().with(-1, total), first.dtype(), first.device());
  struct Part {
    int64_t count;
    bool needed;
  };
  std::vector<Part> layout;
  int64_t at = 0;
  for (const Variable& part : parts) {
    ops::copy_channels(part.value(), 0, part.size(-1), y, at);
    at += part.size(-1);
    layout.push_back({.count = part.size(-1), .needed = part.requires_grad()});
  }
  return record({.kind = "concat", .inputs = parts}, std::move(y), [layout](const Tensor& dy) {
    Gradients gradients;
    int64_t from = 0;
    for (const Part& part : layout) {
      gradients.push_back(part.needed ? channels(dy, from, part.count) : Tensor());
      from += part.count;
    }
    return gradients;
  });
}

Variable pad_channels(const Variable& x, const PadChannelsOptions& options) {
  DS_CHECK(x.shape().rank() >= 1 && options.before >= 0 && options.after >= 0,
           "[pad_channels] {} channels before and {} after input {}, expected none negative and ...,C",
           options.before, options.after, x.shape().str());
  const int64_t count = x.size(-1);
  const Shape shape = x.shape().with(-1, options.before + count + options.after);
  Tensor y = Tensor::zeros(shape, x.dtype(), x.device());
  ops::copy_channels(x.value(), 0, count, y, options.before);
  return record(
      {.kind = "pad_channels", .inputs = {x}, .options = options}, std::move(y),
      [before = options.before, count](const Tensor& dy) { return Gradients{channels(dy, before, count)}; });
}

}  // namespace ds
