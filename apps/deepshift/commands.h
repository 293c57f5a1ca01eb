// The subcommands of `deepshift`: each adds itself to the command line and says what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace ds::apps {

struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

Command import_command(CLI::App& parent);
Command convert_command(CLI::App& parent);
Command eval_command(CLI::App& parent);
Command classify_command(CLI::App& parent);
Command lower_command(CLI::App& parent);
Command inspect_command(CLI::App& parent);
Command synthesize_command(CLI::App& parent);
Command bench_command(CLI::App& parent);
Command compare_command(CLI::App& parent);
Command verify_command(CLI::App& parent);
Command devices_command(CLI::App& parent);

}  // namespace ds::apps
