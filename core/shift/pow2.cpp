#include "core/shift/pow2.h"

#include "core/error.h"

namespace ds {
namespace {

void check_bits(int bits, const char* method) {
  DS_CHECK(bits >= kMinWeightBits && bits <= kMaxWeightBits, "[{}] {} weight bits, expected {} to {}", method,
           bits, kMinWeightBits, kMaxWeightBits);
}

}  // namespace

ShiftRange shift_q_range(int bits) {
  check_bits(bits, "shift_q");
  return {.p_min = -((1 << (bits - 1)) - 1), .p_max = 0};
}

ShiftRange shift_ps_range(int bits) {
  check_bits(bits, "shift_ps");
  return {.p_min = -((1 << (bits - 1)) - 2), .p_max = 0};
}

}  // namespace ds
