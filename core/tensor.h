// A tensor is a shared buffer, a shape, an element type and a device: contiguous, row-major, activations
// N,H,W,C.
//
// Copying a Tensor copies the handle, not the elements. A view is a reshape or a slice of the first axis;
// there are no strides. A const Tensor gives const access to the elements.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/dtype.h"
#include "core/shape.h"

namespace ds {

class Tensor {
 public:
  /// No tensor at all: defined() is false, and every other member throws or is empty.
  Tensor() = default;

  static Tensor empty(Shape shape, DType dtype = DType::kF32, Device device = {});
  static Tensor full(Shape shape, double value, DType dtype = DType::kF32, Device device = {});
  static Tensor zeros(Shape shape, DType dtype = DType::kF32, Device device = {}) {
    return full(shape, 0.0, dtype, device);
  }
  /// Uninitialised, with the shape, type and device of another.
  static Tensor like(const Tensor& other) { return empty(other.shape(), other.dtype(), other.device()); }
  /// A CPU tensor with a copy of the values. Throws Error unless their number is that of the shape.
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape) {
    Tensor result = empty(shape, dtype_of<T>());
    result.assign(values.data(), values.size_bytes());
    return result;
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape) {
    return from(std::span<const T>(values), shape);
  }

  bool defined() const { return buffer_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }

  /// The elements. Throws Error when T is not the element type, or when there is no tensor.
  template <class T>
  T* data() {
    check_access(dtype_of<T>());
    return static_cast<T*>(raw());
  }
  template <class T>
  const T* data() const {
    check_access(dtype_of<T>());
    return static_cast<const T*>(raw());
  }
  /// The elements of a tensor of the CPU; throws Error for any other.
  template <class T>
  std::span<T> span() {
    check_on_host();
    return {data<T>(), static_cast<size_t>(numel())};
  }
  template <class T>
  std::span<const T> span() const {
    check_on_host();
    return {data<T>(), static_cast<size_t>(numel())};
  }
  void* raw() { return defined() ? static_cast<char*>(buffer_->data()) + offset_ : nullptr; }
  const void* raw() const { return const_cast<Tensor*>(this)->raw(); }

  /// The same elements under another shape. Throws Error unless the number of elements is equal.
  Tensor reshape(Shape shape) const;
  /// Rows [begin, end) of the first axis, sharing memory.
  Tensor slice(int64_t begin, int64_t end) const;
  /// A copy with memory of its own.
  Tensor clone() const;
  /// This tensor when it is already there or of that type, a converted copy otherwise. Floats become integers
  /// by truncation; integers out of range saturate, and NaN gives 0.
  Tensor to(Device device) const;
  Tensor to(DType dtype) const;
  /// Overwrites the elements; shape and type must be equal, the device may differ.
  void copy_from(const Tensor& source);
  void fill(double value);
  /// The single element of a tensor with one element, converted to double.
  double item() const;
  /// The elements on the host. Throws Error when T is not the element type.
  template <class T>
  std::vector<T> to_vector() const {
    const Tensor host = to(Device{});
    const auto values = host.span<T>();
    return {values.begin(), values.end()};
  }
  /// True when both share the same first element.
  bool same_memory(const Tensor& other) const { return raw() == other.raw(); }
  /// True when no other tensor holds the memory behind this one: writing to it changes nothing else.
  bool owns_memory() const { return buffer_.use_count() == 1; }

 private:
  void check_access(DType dtype) const;
  void check_on_host() const;
  void assign(const void* source, size_t bytes);

  std::shared_ptr<Buffer> buffer_;
  size_t offset_ = 0;  // bytes from the start of the buffer
  Shape shape_{0};
  DType dtype_ = DType::kF32;
  Device device_;
};

/// A tensor without its elements: what files say before their data.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape = {};
};

}  // namespace ds
