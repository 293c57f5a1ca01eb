#include "cuda/filter.h"

#include "cuda/check.h"

namespace ds::cuda {

void run_filter(const FilterArguments& arguments, int bits, DType input, const FilterChoice& choice,
                cudaStream_t stream) {
  switch (bits) {
    case 2: return run_filter_of<2>(arguments, input, choice, stream);
    case 3: return run_filter_of<3>(arguments, input, choice, stream);
    case 4: return run_filter_of<4>(arguments, input, choice, stream);
    default: return run_filter_of<5>(arguments, input, choice, stream);
  }
}

bool takes_few_rows(const infer::cuda::FilterGeometry& g, DType input, int device) {
  const auto attribute = [&](cudaDeviceAttr asked) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, asked, device), "asking for what the device has");
    return value;
  };
  const bool in_order = g.kernel_height == 1 && g.kernel_width == 1 && g.stride_height == 1 &&
                        g.stride_width == 1 && g.padding_height == 0 && g.padding_width == 0;
  return in_order && g.rows() <= kFewRows && size_of(input) == 1 && g.channels % 16 == 0 &&
         attribute(cudaDevAttrComputeCapabilityMajor) >= 9 && linear_knows_clusters_of<4>() &&
         attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) >= kLinearSharedBytes;
}

void run_linear(const FilterArguments& arguments, int bits, DType input, const LinearChoice& choice,
                cudaStream_t stream) {
  switch (bits) {
    case 2: return run_linear_of<2>(arguments, input, choice, stream);
    case 3: return run_linear_of<3>(arguments, input, choice, stream);
    case 4: return run_linear_of<4>(arguments, input, choice, stream);
    default: return run_linear_of<5>(arguments, input, choice, stream);
  }
}

void run_patch(const FilterArguments& arguments, int bits, cudaStream_t stream) {
  switch (bits) {
    case 2: return run_patch_of<2>(arguments, stream);
    case 3: return run_patch_of<3>(arguments, stream);
    case 4: return run_patch_of<4>(arguments, stream);
    default: return run_patch_of<5>(arguments, stream);
  }
}

}  // namespace ds::cuda
