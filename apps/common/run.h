// A trainer from its options to its last line: start or resume a run, or evaluate a file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/common/train_options.h"

namespace ds::apps {

/// Adds the options, with these defaults, to the command line, and returns what to do once it is parsed. No
/// file is written before everything that can be checked was.
std::function<int()> set_up_trainer(CLI::App& app, const TrainOptions& defaults,
                                    const std::vector<std::string>& datasets);

}  // namespace ds::apps
