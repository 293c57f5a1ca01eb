// One source a number of bits, so that they compile side by side.
#include "cuda/filter_kernel.cuh"
#include "cuda/linear_kernel.cuh"
#include "cuda/patch_kernel.cuh"

namespace ds::cuda {

template void run_filter_of<4>(const FilterArguments&, DType, const FilterChoice&, cudaStream_t);
template void run_patch_of<4>(const FilterArguments&, cudaStream_t);
template bool linear_knows_clusters_of<4>();
template void run_linear_of<4>(const FilterArguments&, DType, const LinearChoice&, cudaStream_t);

}  // namespace ds::cuda
