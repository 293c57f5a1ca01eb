#include "core/tensor.h"

#include <cstdint>

#include "core/backend.h"
#include "core/error.h"

namespace ds {

Tensor Tensor::empty(Shape shape, DType dtype, Device device) {
  Tensor result;
  size_t bytes = 0;
  constexpr size_t kMostBytes = PTRDIFF_MAX / 2;  // what allocators may round up
  DS_CHECK(!__builtin_mul_overflow(static_cast<size_t>(shape.numel()), size_of(dtype), &bytes) &&
               bytes <= kMostBytes,
           "[tensor] {} of {} has more bytes than can be counted", shape.str(), name_of(dtype));
  result.buffer_ = Buffer::allocate(bytes, device);
  result.shape_ = shape;
  result.dtype_ = dtype;
  result.device_ = device;
  return result;
}

Tensor Tensor::full(Shape shape, double value, DType dtype, Device device) {
  Tensor result = empty(shape, dtype, device);
  result.fill(value);
  return result;
}

Tensor Tensor::reshape(Shape shape) const {
  DS_CHECK(defined(), "[reshape] there is no tensor");
  DS_CHECK(shape.numel() == numel(), "[reshape] {} has {} elements, {} has {}", shape_.str(), numel(),
           shape.str(), shape.numel());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  DS_CHECK(rank() >= 1 && 0 <= begin && begin <= end && end <= size(0),
           "[slice] rows {} to {} of a tensor {}", begin, end, shape_.str());
  Tensor view = *this;
  view.shape_ = shape_.with(0, end - begin);
  const int64_t row = size(0) == 0 ? 0 : numel() / size(0);
  view.offset_ = offset_ + static_cast<size_t>(begin * row) * size_of(dtype_);
  return view;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor copy = like(*this);
  copy.copy_from(*this);
  return copy;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == device_) return *this;
  Tensor result = empty(shape_, dtype_, device);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(DType dtype) const {
  if (!defined() || dtype == dtype_) return *this;
  Tensor result = empty(shape_, dtype, device_);
  kernels(device_).cast(*this, result);
  return result;
}

void Tensor::copy_from(const Tensor& source) {
  DS_CHECK(shape_ == source.shape_ && dtype_ == source.dtype_,
           "[copy] {} {} from {} {}: shapes and types must be equal", name_of(dtype_), shape_.str(),
           name_of(source.dtype_), source.shape_.str());
  copy_bytes(raw(), device_, source.raw(), source.device_, bytes());
}

void Tensor::fill(double value) {
  DS_CHECK(defined(), "[fill] there is no tensor");
  kernels(device_).fill(*this, value);
}

double Tensor::item() const {
  DS_CHECK(numel() == 1, "[item] tensor {} has {} elements, expected one", shape_.str(), numel());
  return *to(Device{}).to(DType::kF64).data<double>();
}

void Tensor::check_access(DType dtype) const {
  DS_CHECK(defined(), "[tensor] access to a tensor that is not there");
  DS_CHECK(dtype == dtype_, "[tensor] access as {} to a tensor of {}", name_of(dtype), name_of(dtype_));
}

void Tensor::check_on_host() const {
  DS_CHECK(device_ == Device{}, "[tensor] elements of a tensor on {}, expected one on cpu", device_.str());
}

void Tensor::assign(const void* source, size_t bytes) {
  DS_CHECK(bytes == this->bytes(), "[tensor] {} bytes for a tensor {} of {}, expected {}", bytes,
           shape_.str(), name_of(dtype_), this->bytes());
  copy_bytes(raw(), device_, source, Device{}, bytes);
}

}  // namespace ds
