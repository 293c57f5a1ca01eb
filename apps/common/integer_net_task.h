// An integer net and the test images of the data set that it was lowered for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/common/model_input.h"
#include "core/safetensors.h"
#include "data/dataset.h"
#include "infer/integer_net.h"

namespace ds::apps {

/// In the metadata of an integer net's file: its data set and the names of the classes. The
/// normalisation and the size of the images are part of the net.
std::map<std::string, std::string> integer_net_notes(const ModelInput& input);

struct IntegerNetTask {
  infer::IntegerNet net;
  Dataset test;
};

/// The names of the net's classes: of the table that the choice names, or the file's; empty where neither
/// says them.
std::vector<ClassName> integer_net_classes(const SafetensorsFile& file, const InputChoice& choice,
                                           int64_t classes);
/// Throws Error for choices that an integer net, which holds its network and its input, would ignore.
void check_integer_net_choices(const std::string& file, const std::string& arch, const InputChoice& choice);
/// `data` is the folder of the data set. Throws Error naming file or folder where one cannot be read, or the
/// net gives other classes than the data set has.
IntegerNetTask load_integer_net_task(const SafetensorsFile& file, const std::string& data,
                                     const InputChoice& choice, bool strict = false);

}  // namespace ds::apps
