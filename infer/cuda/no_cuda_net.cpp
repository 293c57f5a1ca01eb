// Compiled in place of cuda/cuda_net.cu where CUDA is not.
#include "core/error.h"
#include "infer/cuda/cuda_net.h"

namespace ds::infer {
namespace {

[[noreturn]] void missing() {
  fail("[cuda_net] this build has no CUDA kernels: configure with -DDEEPSHIFT_CUDA=ON, or use CpuNet");
}

}  // namespace

class CudaNet::Plan {};

CudaNet::CudaNet(const IntegerNet&, const CudaNetOptions&) { missing(); }
CudaNet::~CudaNet() = default;
void CudaNet::run(const uint8_t*, int64_t, int32_t*) const { missing(); }
Tensor CudaNet::operator()(const Tensor&) const { missing(); }
const IntegerNet& CudaNet::net() const { missing(); }
int64_t CudaNet::arena_bytes() const { missing(); }
int64_t CudaNet::weight_bytes() const { missing(); }
std::vector<CudaStepInfo> CudaNet::steps() const { missing(); }
std::vector<double> CudaNet::time_runs(int64_t) const { missing(); }

}  // namespace ds::infer
