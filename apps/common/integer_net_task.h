// An integer net and the test images of the data set that it was lowered for.
#pragma once

#include <string>

#include "apps/common/model_input.h"
#include "core/safetensors.h"
#include "data/dataset.h"
#include "infer/integer_net.h"

namespace ds::apps {

/// In the metadata of an integer net's file: its data set. The normalisation is part of the net.
inline constexpr const char* kIntegerNetDataset = "deepshift.dataset";

struct IntegerNetTask {
  infer::IntegerNet net;
  Dataset test;
};

/// `data` is the folder of the data set. Throws Error naming file or folder where one cannot be read, or the
/// net gives other classes than the data set has.
IntegerNetTask load_integer_net_task(const SafetensorsFile& file, const std::string& data,
                                     const InputChoice& choice);

}  // namespace ds::apps
