// Linked in place of the CUDA backend where it is not compiled in.
#include "core/backend.h"

namespace ds::cuda {

const Backend* const kBackend = nullptr;

int device_count() { return 0; }

std::string_view description() { return "not compiled in"; }

std::string describe_device(int) { return {}; }

std::string_view why_none() { return {}; }

}  // namespace ds::cuda
