// A trainer from its options to its last line: start or resume a run, or evaluate a file.
#pragma once

#include <string>

#include "apps/common/option_table.h"
#include "apps/common/train_options.h"

namespace ds::apps {

/// Returns the exit code. Throws Error; no file is written before everything that can be checked was.
int run_trainer(OptionTable& table, TrainOptions& options, const std::string& program);

}  // namespace ds::apps
