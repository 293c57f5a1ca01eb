#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/backend.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

constexpr size_t kHugePage = size_t{2} << 20;

/// Asks for huge pages where whole ones fit: with small ones, strided walks over large tensors miss the TLB
/// at every step. A refusal costs speed only.
void prefer_huge_pages(void* data, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (address + bytes) / kHugePage * kHugePage;
  if (begin < end) madvise(static_cast<char*>(data) + (begin - address), end - begin, MADV_HUGEPAGE);
}

void* allocate(size_t bytes, int) {
  void* data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (data != nullptr) prefer_huge_pages(data, bytes);
  return data;
}
void release(void* data, int) { std::free(data); }
/// Whole pages within; the next use finds zeros in them.
void discard(void* data, size_t bytes) {
  constexpr uintptr_t kPage = 4096;
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + kPage - 1) / kPage * kPage;
  const uintptr_t end = (address + bytes) / kPage * kPage;
  if (begin < end) madvise(static_cast<char*>(data) + (begin - address), end - begin, MADV_DONTNEED);
}
void copy(void* target, const void* source, size_t bytes, int) { std::memmove(target, source, bytes); }

}  // namespace

const Backend kBackend = {
    .allocate = allocate,
    .release = release,
    .discard = discard,
    .copy_from_host = copy,
    .copy_to_host = copy,
    .copy_within = copy,
    .upload = copy,
    .wait = nullptr,
    .kernels =
        {
#define DS_OP(name, arguments, cuda) .name = name,
#include "core/ops.def"
#undef DS_OP
        },
};

}  // namespace ds::cpu
