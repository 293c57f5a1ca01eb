// The CUDA device: discovery, memory, copies, and the table of kernels made from core/ops.def.
//
// A row of kind kCudaKernel stands for a function `ds::cuda::<name>` in a .cu file of this folder: forgetting
// it is a link error that names it. A row of kind kCpuOnly gets a function that throws Error naming the
// operation.
#include <string>

#include "core/backend.h"
#include "cuda/check.h"

namespace ds::cuda {

#define DS_DECLARE_kCudaKernel(name, arguments) void name arguments;
#define DS_DECLARE_kCpuOnly(name, arguments)
#define DS_OP(name, arguments, cuda) DS_DECLARE_##cuda(name, arguments)
#include "core/ops.def"
#undef DS_OP

namespace {

enum class Op {
#define DS_OP(name, arguments, cuda) name,
#include "core/ops.def"
#undef DS_OP
};

constexpr const char* kOpNames[] = {
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

void select(int index) { check(cudaSetDevice(index), "selecting the device"); }

void* allocate(size_t bytes, int index) {
  select(index);
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

template <cudaMemcpyKind kind>
void copy(void* target, const void* source, size_t bytes, int index) {
  select(index);
  check(cudaMemcpy(target, source, bytes, kind), "copying memory");
}

constexpr Backend kCudaBackend = {
    .allocate = allocate,
    .release = release,
    .discard = nullptr,
    .copy_from_host = copy<cudaMemcpyHostToDevice>,
    .copy_to_host = copy<cudaMemcpyDeviceToHost>,
    .copy_within = copy<cudaMemcpyDeviceToDevice>,
    .kernels = make_kernels(),
};

}  // namespace

const Backend* const kBackend = &kCudaBackend;

int device_count() {
  static const int count = [] {
    int found = 0;
    return cudaGetDeviceCount(&found) == cudaSuccess ? found : 0;  // no driver is no device, not an error
  }();
  return count;
}

std::string_view description() {
  static const std::string text =
      fmt::format("CUDA {}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  return text;
}

}  // namespace ds::cuda
