#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/app.h"
#include "apps/common/integer_net_task.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"
#include "core/backend.h"
#include "core/cpu/kernels/select.h"
#include "core/error.h"
#include "core/parallel.h"
#include "infer/cpu/cpu_net.h"
#include "infer/cpu/kernels/select.h"
#include "infer/cuda/cuda_net.h"
#include "infer/reference.h"

namespace ds::apps {

namespace {

struct VerifyOptions {
  std::string file;
  std::string data;
  InputChoice input;
  std::string isa;
  int64_t images = 0;
  int64_t generic_images = 0;
  int64_t reference_images = 500;
  std::string device = "all";
};

/// One way to run a net.
struct Way {
  int threads;
  infer::CpuNetOptions options;

  std::string str() const {
    return fmt::format("{:<11} {:>2} threads, batch {:>3}{}", options.kernels->name, threads, options.batch,
                       options.shifts_only ? ", shifts and additions alone" : "");
  }
};

/// Every set of kernels, on one thread and on all, in several batches, and without multiplications.
std::vector<Way> ways_of(const std::string& isa) {
  std::vector<Way> ways;
  const int all = std::max(2, num_threads());
  for (const infer::IntegerKernels* kernels : infer::available_integer_kernels()) {
    if (!isa.empty() && isa != cpu::name_of(kernels->isa)) continue;
    for (const int threads : {all, 1}) {
      for (const int64_t batch : {128, 7, 1}) ways.push_back({threads, {.batch = batch, .kernels = kernels}});
    }
    ways.push_back({all, {.batch = 16, .shifts_only = true, .kernels = kernels}});
  }
  DS_CHECK(!ways.empty(), "[verify] --isa is {}, for which this processor has no integer kernels", isa);
  return ways;
}

/// On a CUDA device: the fastest kernels of each layer, others, and no multiplications.
std::vector<infer::CudaNetOptions> cuda_ways() {
  return {{.batch = 256}, {.batch = 7, .tune = false, .way = 1}, {.batch = 128, .shifts_only = true}};
}

/// Compares results with those for the most images so far, and prints a line.
class Comparison {
 public:
  template <class Run>
  void add(const std::string& name, const Run& run) {
    const auto start = std::chrono::steady_clock::now();
    const Tensor results = run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (most_) require_equal(name, results);
    if (!most_ || results.size(0) > most_->size(0)) {
      most_ = results;
      name_ = name;
    }
    fmt::print("{:<62} {:6} images  {:7.1f} s  equal\n", name, results.size(0), elapsed.count());
    std::fflush(stdout);
  }
  /// CRC-32 of all results as they lie in memory.
  uint32_t checksum() const {
    return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(most_->data<int32_t>()),
                                       static_cast<unsigned>(most_->bytes())));
  }

 private:
  /// Of the images that both have.
  void require_equal(const std::string& name, const Tensor& results) const {
    const auto expected = most_->span<int32_t>();
    const auto found = results.span<int32_t>();
    const auto classes = static_cast<size_t>(results.size(1));
    for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
      DS_CHECK(found[i] == expected[i], "[verify] result {} of image {} is {} by {}, but {} by {}",
               i % classes, i / classes, found[i], name, expected[i], name_);
    }
  }

  std::optional<Tensor> most_;
  std::string name_;
};

/// At most `limit` of so many; 0: all.
int64_t limited(int64_t count, int64_t limit) { return limit == 0 ? count : std::min(count, limit); }

Tensor first_of(const Tensor& images, int64_t limit) {
  return images.slice(0, limited(images.size(0), limit));
}

bool has_two_terms(const infer::IntegerNet& net) {
  return std::ranges::any_of(net.nodes(),
                             [](const infer::Node& node) { return node.filters.format.terms > 1; });
}

int verify_file(const VerifyOptions& options) {
  const IntegerNetTask task =
      load_integer_net_task(SafetensorsFile(options.file), options.data, options.input);
  const int64_t count = limited(task.test.size(), options.images);
  const Tensor images = task.test.slice(0, count).in_memory().images;
  report_broken_images(task.test);
  Comparison comparison;
  std::vector<Way> ways = ways_of(options.isa);
  if (options.device == "cuda") ways.resize(1);  // the device is what is of interest
  for (const Way& way : ways) {
    set_num_threads(way.threads);
    const bool slow = way.options.kernels->isa == cpu::Isa::kGeneric;
    const Tensor some = slow ? first_of(images, options.generic_images) : images;
    comparison.add(way.str(), [&] { return infer::CpuNet(task.net, way.options)(some); });
  }
  bool on_device = options.device == "cuda" || (options.device == "all" && cuda_device_count() > 0);
  if (on_device && options.device == "all" && has_two_terms(task.net)) {
    fmt::print("CUDA device: not run, it has no weights of two terms\n");
    on_device = false;
  }
  for (const infer::CudaNetOptions& way : on_device ? cuda_ways() : std::vector<infer::CudaNetOptions>()) {
    comparison.add(fmt::format("CUDA device, batch {:>3}{}", way.batch,
                               way.shifts_only ? ", shifts and additions alone" : ""),
                   [&] { return infer::CudaNet(task.net, way)(images); });
  }
  if (options.reference_images > 0) {
    const Tensor some = first_of(images, options.reference_images);
    comparison.add("reference", [&] { return infer::run_reference(task.net, some); });
  }
  fmt::print("all results are equal; their checksum is {:08x}\n", comparison.checksum());
  return kExitOk;
}

}  // namespace

Command verify_command(CLI::App& parent) {
  auto options = std::make_shared<VerifyOptions>();
  VerifyOptions& o = *options;
  CLI::App* app = parent.add_subcommand(
      "verify", "Checks that an integer net gives the same integers however it is run on this machine");
  app->add_option("file", o.file, "integer net, safetensors (deepshift lower)")->required();
  app->add_option("--data", o.data, "folder of the data set, whose test images it is run on")->required();
  add_dataset(*app, o.input.dataset);
  add_class_names(*app, o.input.class_names);
  app->add_option("--images", o.images, "test images; 0: all")->capture_default_str()->check(at_least(0));
  app->add_option("--generic-images", o.generic_images, "of them, that plain C++ runs (slower); 0: all")
      ->capture_default_str()
      ->check(at_least(0));
  app->add_option("--reference-images", o.reference_images,
                  "of them, that the plain interpreter runs, too (slow)")
      ->capture_default_str()
      ->check(at_least(0));
  app->add_option("--device", o.device,
                  "cpu; cuda: the device beside one way of the CPU; all: every way, and those of the device "
                  "if there is one")
      ->capture_default_str()
      ->transform(one_of({"cpu", "cuda", "all"}));
  app->add_option("--isa", o.isa, "one instruction set alone (default: all that this processor has)")
      ->transform(one_of({"avx512", "avx2", "generic"}));
  return {app, [options] { return verify_file(*options); }};
}

}  // namespace ds::apps
