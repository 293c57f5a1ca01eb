// Row kernels in plain C++.
#include "infer/cpu/kernels/lanes.inc"

namespace ds::infer {
namespace {

template <class Value>
inline Lanes<int32_t> widen(const Value* p) {
  return __builtin_convertvector(*reinterpret_cast<const Lanes<Value>*>(p), Lanes<int32_t>);
}
template <class Value>
inline void narrow(const Lanes<int32_t>& v, Value* p) {
  *reinterpret_cast<Lanes<Value>*>(p) = __builtin_convertvector(v, Lanes<Value>);
}

constexpr bool kNarrowsBytes = false;
constexpr const DepthwiseRowsKernels* kDepthwiseRows = nullptr;

}  // namespace
}  // namespace ds::infer

#define DS_ISA generic
#include "infer/cpu/kernels/rows.inc"
