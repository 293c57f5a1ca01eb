#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "core/error.h"
#include "data/cifar.h"
#include "data/synthetic.h"

namespace ds::apps {

namespace {

struct SynthesizeOptions {
  std::string folder;
  SyntheticOptions synthetic;
};

int synthesize(const SynthesizeOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  DS_CHECK(!error, "[synthesize] folder '{}' cannot be made: {}", options.folder, error.message());
  for (const auto& entry : std::filesystem::directory_iterator(options.folder)) {
    DS_CHECK(entry.path().extension() != ".bin", "[synthesize] {} is there already: choose another folder",
             entry.path().string());
  }
  const SyntheticData data = make_synthetic(options.synthetic);
  write_cifar10(options.folder, data.train, data.test);
  fmt::print("wrote {} training and {} test images to {}\n", data.train.size(), data.test.size(),
             options.folder);
  return kExitOk;
}

}  // namespace

Command synthesize_command(CLI::App& parent) {
  auto options = std::make_shared<SynthesizeOptions>();
  SyntheticOptions& o = options->synthetic;
  CLI::App* app =
      parent.add_subcommand("synthesize", "Draws a data set of ten classes in the CIFAR-10 format");
  app->add_option("folder", options->folder, "folder to write to")->required();
  app->add_option("--train", o.train, "training images")->capture_default_str()->check(at_least(5));
  app->add_option("--test", o.test, "test images")->capture_default_str()->check(at_least(1));
  app->add_option("--seed", o.seed, "of the drawing")->capture_default_str()->check(at_least(0));
  return {app, [options] { return synthesize(*options); }};
}

}  // namespace ds::apps
