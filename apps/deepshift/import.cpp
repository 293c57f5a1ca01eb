#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/common/app.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/old_names.h"
#include "core/error.h"
#include "core/safetensors.h"
#include "core/torch_file.h"
#include "layers/checkpoint.h"

namespace ds::apps {

namespace {

struct ImportOptions {
  std::string input;
  std::string output;
  std::string arch;
  int64_t classes = 0;  // 0: the outputs of the last layer
};

/// What PyTorch keeps in a state dict without training it: the state of batch norm.
bool is_statistic(const std::string& name) {
  return name.ends_with("running_mean") || name.ends_with("running_var") ||
         name.ends_with("num_batches_tracked");
}

std::string count_contents(const std::vector<TensorSpec>& tensors) {
  int64_t parameters = 0;
  size_t bytes = 0;
  for (const TensorSpec& tensor : tensors) {
    if (!is_statistic(tensor.name)) parameters += tensor.shape.numel();
    bytes += static_cast<size_t>(tensor.shape.numel()) * size_of(tensor.dtype);
  }
  return fmt::format("{} tensors, {} parameters, {} bytes", tensors.size(), parameters, bytes);
}

int import_file(const ImportOptions& options) {
  namespace fs = std::filesystem;
  TorchFile file(options.input);
  DS_CHECK(!fs::exists(options.output) || !fs::equivalent(options.input, options.output),
           "[import] input and output are the same file, {}", options.output);
  const std::vector<TensorSpec> tensors = with_names_of_today(file.tensors());
  if (!options.arch.empty()) {
    const Network network = new_network(options.arch, options.input, tensors, options.classes);
    check_tensors(options.input, tensors, *network.model);
  }
  write_safetensors(options.output, tensors, [&](size_t i) { return file.read(i); }, {{"format", "pt"}});
  for (const std::string& note : file.notes()) fmt::print("{}\n", note);
  fmt::print("wrote {}: {}\n", options.output, count_contents(tensors));
  return kExitOk;
}

}  // namespace

Command import_command(CLI::App& parent) {
  auto options = std::make_shared<ImportOptions>();
  ImportOptions& o = *options;
  CLI::App* app = parent.add_subcommand("import", "Makes a safetensors file of a .pth file of PyTorch's");
  app->add_option("input", o.input, "state dict or checkpoint, as torch.save writes it")->required();
  app->add_option("output", o.output, "file to write")->required();
  app->add_option("--arch", o.arch, "network that the tensors must fit");
  app->add_option("--classes", o.classes, "its classes (default: the outputs of the last layer)")
      ->check(at_least(1))
      ->needs("--arch");
  return {app, [options] { return import_file(*options); }};
}

}  // namespace ds::apps
