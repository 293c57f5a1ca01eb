// Copies to the device beside its other work.
#pragma once

#include <cstddef>

namespace ds::cuda {

/// Copies through pinned memory of this thread, in a stream of its own, after everything that was started in
/// the device's compute stream until now; done when it returns. Throws Error.
void upload(void* target, const void* source, size_t bytes, int index);

}  // namespace ds::cuda
