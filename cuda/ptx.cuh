// The instructions that C++ has no words for: tensor cores, asynchronous copies to shared memory, clusters.
#pragma once

#include <cstdint>

namespace ds::cuda {

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// 16 bytes to shared memory, zeros where `valid` is false; done when wait_for_copies says so.
__device__ inline void copy_async_16(void* target, const void* source, bool valid) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(target)), "l"(source),
               "r"(valid ? 16 : 0));
#else
  *static_cast<uint4*>(target) = valid ? *static_cast<const uint4*>(source) : uint4{};
#endif
}

/// Ends a group of copies.
__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;");
#endif
}

/// Until at most `pending` groups are under way.
template <int pending>
__device__ inline void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending));
#endif
}

/// Lets the next kernel of the stream start, which may prepare while this one runs, and waits until the one
/// before has ended, with all that it wrote in place. What is compiled for devices before Hopper does
/// neither, and is started where kernels follow each other (compiled_for_hopper in cuda/launch.h).
__device__ inline void start_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Waits for all threads of the cluster, and sees what they wrote to shared memory before. Before Hopper a
/// thread block is alone.
__device__ inline void meet_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive;\n\tbarrier.cluster.wait;" ::: "memory");
#else
  __syncthreads();
#endif
}

/// What stands at `shared` in the thread block `rank` of the cluster.
template <class T>
__device__ inline const T* in_block(const T* shared, int rank) {
#if __CUDA_ARCH__ >= 900
  const T* result;
  asm("mapa.u64 %0, %1, %2;" : "=l"(result) : "l"(shared), "r"(rank));
  return result;
#else
  return shared;
#endif
}

/// Four 8x8 matrices of 16-bit words, which are 8 rows of 16 bytes: each lane points to a row.
__device__ inline void load_matrices(uint32_t (&result)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3])
               : "r"(shared_address(row)));
}

#if __CUDA_ARCH__ >= 800
#define DS_MMA(types)                                  \
  asm("mma.sync.aligned.m16n8k32.row.col.s32." types   \
      ".s32 {%0, %1, %2, %3}, "                        \
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"  \
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]) \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
// Turing has 8 x 8 x 16: the same bytes, in four parts.
#define DS_MMA_PART(types, first, row, word)                                               \
  asm("mma.sync.aligned.m8n8k16.row.col.s32." types ".s32 {%0, %1}, {%2}, {%3}, {%0, %1};" \
      : "+r"(c[first]), "+r"(c[first + 1])                                                 \
      : "r"(a[row]), "r"(b[word]))
#define DS_MMA(types)          \
  DS_MMA_PART(types, 0, 0, 0); \
  DS_MMA_PART(types, 0, 2, 1); \
  DS_MMA_PART(types, 2, 1, 0); \
  DS_MMA_PART(types, 2, 3, 1)
#endif

/// c += a b of bytes, 16 x 32 and 32 x 8; b signed, a signed or not.
template <bool is_signed>
__device__ inline void multiply_add(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (is_signed) {
    DS_MMA("s8.s8");
  } else {
    DS_MMA("u8.s8");
  }
}
/// The other way round: a signed, b signed or not.
template <bool is_signed>
__device__ inline void multiply_add_transposed(int32_t (&c)[4], const uint32_t (&a)[4],
                                               const uint32_t (&b)[2]) {
  if constexpr (is_signed) {
    DS_MMA("s8.s8");
  } else {
    DS_MMA("s8.u8");
  }
}
#undef DS_MMA
#undef DS_MMA_PART

}  // namespace ds::cuda
