// The integer nets that latencies are compared on.
#pragma once

#include "core/random.h"
#include "core/shift/codes.h"
#include "infer/lower.h"
#include "layers/convert.h"
#include "models/registry.h"

namespace ds::bench {

/// Seeded weights, formats from random pixels: what is timed does not depend on what they mean.
inline infer::IntegerNet seeded_net(const models::ModelEntry& entry, const ShiftFormat& format,
                                    int input_bits) {
  manual_seed(1);
  const ModulePtr network = entry.make({.classes = 1000});
  convert_to_shift(*network, {.method = format.method, .weight_bits = format.bits});
  network->eval();
  Tensor images = Tensor::empty({2, entry.input[0], entry.input[1], entry.input[2]}, DType::kU8);
  for (uint8_t& pixel : images.span<uint8_t>()) pixel = static_cast<uint8_t>(default_generator().below(256));
  const Tensor sample = Tensor::zeros({1, entry.input[0], entry.input[1], entry.input[2]});
  return infer::lower(trace(*network, sample), images, {.input_bits = input_bits});
}

}  // namespace ds::bench
