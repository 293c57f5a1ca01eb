#include <cstdlib>
#include <cstring>

#include "core/backend.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

void* allocate(size_t bytes, int) {
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}
void release(void* data, int) { std::free(data); }
void copy(void* target, const void* source, size_t bytes, int) { std::memmove(target, source, bytes); }

}  // namespace

const Backend kBackend = {
    .allocate = allocate,
    .release = release,
    .copy_from_host = copy,
    .copy_to_host = copy,
    .copy_within = copy,
    .kernels =
        {
#define DS_OP(name, arguments, cuda) .name = name,
#include "core/ops.def"
#undef DS_OP
        },
};

}  // namespace ds::cpu
