// The CUDA device: discovery, memory, copies, and the table of kernels made from core/ops.def.
//
// A row of kind kCudaKernel stands for a function `ds::cuda::<name>` in a .cu file of cuda/ops: forgetting it
// is a link error that names it. A row of kind kCpuOnly gets a function that throws Error naming the
// operation.
#include <string>

#include "core/backend.h"
#include "cuda/check.h"
#include "cuda/compute.h"
#include "cuda/ops/conv2d.h"
#include "cuda/ops/kernels.h"
#include "cuda/upload.h"

namespace ds::cuda {

namespace {

enum class Op {
#define DS_OP(name, arguments, cuda) name,
#include "core/ops.def"
#undef DS_OP
};

[[maybe_unused]] constexpr const char* kOpNames[] = {
#define DS_OP(name, arguments, cuda) #name,
#include "core/ops.def"
#undef DS_OP
};

template <Op op, class... Arguments>
void missing(Arguments...) {
  fail("[{}] has no CUDA kernel: move the network and its inputs to the CPU (device cpu)",
       kOpNames[static_cast<size_t>(op)]);
}

constexpr KernelTable make_kernels() {
  KernelTable table;
#define DS_ENTRY_kCudaKernel(name) cuda::name
#define DS_ENTRY_kCpuOnly(name) missing<Op::name>
#define DS_OP(name, arguments, cuda) table.name = DS_ENTRY_##cuda(name);
#include "core/ops.def"
#undef DS_OP
  return table;
}

void* allocate(size_t bytes, int index) {
  compute_stream(index);
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // the error is handled by the caller: clear it
    return nullptr;
  }
  check(status, "allocating memory");
  return data;
}

// Releasing happens in destructors, which must not throw; what could fail here is only a runtime that is
// shutting down, and then the memory is gone anyway.
void release(void* data, int index) {
  if (cudaSetDevice(index) == cudaSuccess) cudaFree(data);
}

/// In the order of the device's other work; copies from and to the host are done when it returns.
template <cudaMemcpyKind kind>
void copy(void* target, const void* source, size_t bytes, int index) {
  const cudaStream_t stream = compute_stream(index);
  check(cudaMemcpyAsync(target, source, bytes, kind, stream), "copying memory");
  if (kind != cudaMemcpyDeviceToDevice) check(cudaStreamSynchronize(stream), "copying memory");
}

void wait(int index) { check(cudaStreamSynchronize(compute_stream(index)), "waiting for the device"); }

constexpr Backend kCudaBackend = {
    .allocate = allocate,
    .release = release,
    .discard = nullptr,
    .copy_from_host = copy<cudaMemcpyHostToDevice>,
    .copy_to_host = copy<cudaMemcpyDeviceToHost>,
    .copy_within = copy<cudaMemcpyDeviceToDevice>,
    .upload = upload,
    .wait = wait,
    .kernels = make_kernels(),
};

}  // namespace

const Backend* const kBackend = &kCudaBackend;

namespace {

/// No driver, or one that is too old, is no device and not an error.
struct Discovery {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
};
const Discovery& discovery() {
  static const Discovery found;
  return found;
}

}  // namespace

int device_count() { return discovery().status == cudaSuccess ? discovery().count : 0; }

std::string_view why_none() {
  return discovery().status == cudaSuccess ? "" : cudaGetErrorString(discovery().status);
}

std::string describe_device(int index) {
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, index), "asking for a device's name");
  return fmt::format("{}, {:.1f} GiB, compute capability {}.{}", properties.name,
                     static_cast<double>(properties.totalGlobalMem) / 0x1p30, properties.major,
                     properties.minor);
}

std::string_view description() {
  static const std::string text =
      fmt::format("CUDA {}.{}, {}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, cudnn_description());
  return text;
}

}  // namespace ds::cuda
