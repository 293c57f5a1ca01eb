// Networks with the batch norms of a training, lowered, for the tests of integer nets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "infer/lower.h"
#include "layers/module.h"

namespace ds::test {

struct NetworkCase {
  const char* model;
  ShiftMethod method;
  int weight_bits;
  int activation_bits;
  int digits;
  double least_snr;  // dB of the centred logits against float arithmetic

  std::string name() const;
};

std::vector<NetworkCase> network_cases();

/// Random pixels whose neighbours are alike, as those of photographs are: u8 [count,H,W,C].
Tensor random_images(int64_t count, const Shape& image, uint64_t seed);
Tensor normalised(const Tensor& images, const infer::LowerOptions& options);

struct EvaluatedNetwork {
  ModulePtr network;  // in evaluation, its weights powers of two
  infer::LowerOptions options;
  Shape image;  // H,W,C
};
/// `layer_bits`: as of ConvertOptions.
EvaluatedNetwork evaluated(const NetworkCase& c, const std::map<std::string, int>& layer_bits = {});

/// Calibrated on a few random images.
infer::IntegerNet lower_network(const EvaluatedNetwork& evaluated);
infer::IntegerNet lowered(const NetworkCase& c);

/// A linear layer of Q with 5 bits whose sums 32 bits hold, but only just.
infer::IntegerNet net_of_large_sums();
/// Sums that 32 bits hold, but not those of the single terms of its weights, 1 - 1/8; and so many weights of
/// 2^-12 - 2^-15.
infer::IntegerNet net_of_large_terms(int64_t small_weights);

}  // namespace ds::test
