// The one instruction of integer nets on CUDA devices that the host has to imitate.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace ds::infer::cuda {

/// Bytes of b:a, by the low three bits of each nibble of the selector; bit 3 asks for eight copies of the
/// byte's highest bit instead.
DS_HOST_DEVICE inline uint32_t select_bytes(uint32_t a, uint32_t b, uint32_t selector) {
#ifdef __CUDA_ARCH__
  uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
#else
  const uint64_t bytes = (static_cast<uint64_t>(b) << 32) | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t nibble = (selector >> (4 * i)) & 15;
    auto byte = static_cast<uint32_t>(bytes >> (8 * (nibble & 7))) & 0xFF;
    if (nibble > 7) byte = (byte & 0x80) != 0 ? 0xFF : 0;
    result |= byte << (8 * i);
  }
  return result;
#endif
}

}  // namespace ds::infer::cuda
