// What the functions of core/ops.h check before they call a kernel. Each throws Error beginning with "[op]".
#pragma once

#include <initializer_list>

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::ops {

/// An argument, and its name in messages.
struct Operand {
  const char* name;
  const Tensor& tensor;
};

/// All are there, of one element type and on one device.
void check_same_type(const char* op, std::initializer_list<Operand> operands);
/// The same, and the type is f32 or f64.
void check_operands(const char* op, std::initializer_list<Operand> operands);
/// The same, and all have the shape of the first.
void check_alike(const char* op, std::initializer_list<Operand> operands);
void check_shape(const char* op, const Operand& operand, const Shape& expected);
void check_one_element(const char* op, const char* name, const Tensor& tensor);
/// p_min <= p_max, and both are exponents of normal float32 numbers.
void check_shift_range(const char* op, ShiftRange range);

}  // namespace ds::ops
