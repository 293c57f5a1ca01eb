#include "core/op_checks.h"

#include "core/error.h"

namespace ds::ops {

void check_same_type(const char* op, std::initializer_list<Operand> operands) {
  const Operand& first = *operands.begin();
  for (const auto& [name, tensor] : operands) {
    DS_CHECK(tensor.defined(), "[{}] {} is not there", op, name);
    DS_CHECK(tensor.dtype() == first.tensor.dtype(), "[{}] {} is {}, {} is {}: the types must be equal", op,
             first.name, name_of(first.tensor.dtype()), name, name_of(tensor.dtype()));
    DS_CHECK(tensor.device() == first.tensor.device(),
             "[{}] {} is on {}, {} on {}: the devices must be equal", op, first.name,
             first.tensor.device().str(), name, tensor.device().str());
  }
}

void check_operands(const char* op, std::initializer_list<Operand> operands) {
  check_same_type(op, operands);
  const Operand& first = *operands.begin();
  const DType dtype = first.tensor.dtype();
  DS_CHECK(dtype == DType::kF32 || dtype == DType::kF64, "[{}] {} is {}, expected f32 or f64", op, first.name,
           name_of(dtype));
}

void check_alike(const char* op, std::initializer_list<Operand> operands) {
  check_operands(op, operands);
  const Operand& first = *operands.begin();
  for (const auto& [name, tensor] : operands) {
    DS_CHECK(tensor.shape() == first.tensor.shape(), "[{}] {} {} and {} {}: the shapes must be equal", op,
             first.name, first.tensor.shape().str(), name, tensor.shape().str());
  }
}

void check_shape(const char* op, const Operand& operand, const Shape& expected) {
  DS_CHECK(operand.tensor.shape() == expected, "[{}] {} has shape {}, expected {}", op, operand.name,
           operand.tensor.shape().str(), expected.str());
}

void check_one_element(const char* op, const char* name, const Tensor& tensor) {
  DS_CHECK(tensor.numel() == 1, "[{}] {} has shape {}, expected one element", op, name, tensor.shape().str());
}

void check_shift_range(const char* op, ShiftRange range) {
  constexpr int kLargest = 126;
  DS_CHECK(-kLargest <= range.p_min && range.p_min <= range.p_max && range.p_max <= kLargest,
           "[{}] exponents {} to {}, expected {} <= p_min <= p_max <= {}", op, range.p_min, range.p_max,
           -kLargest, kLargest);
}

}  // namespace ds::ops
