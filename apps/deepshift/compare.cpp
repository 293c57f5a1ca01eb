#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "apps/common/app.h"
#include "apps/common/run_summary.h"
#include "apps/deepshift/commands.h"

namespace ds::apps {

namespace {

struct CompareOptions {
  std::vector<std::string> runs;
  bool markdown = false;
};

int compare_runs(const CompareOptions& options) {
  std::vector<RunSummary> summaries;
  for (const std::string& run : options.runs) summaries.push_back(read_summary(run));
  fmt::print("{}", compare(summaries, options.markdown));
  return kExitOk;
}

}  // namespace

Command compare_command(CLI::App& parent) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* app = parent.add_subcommand("compare", "Shows the results of runs in a table");
  app->add_option("runs", options->runs, "output folders of finished runs")->required();
  app->add_flag("--markdown", options->markdown, "as a Markdown table");
  return {app, [options] { return compare_runs(*options); }};
}

}  // namespace ds::apps
