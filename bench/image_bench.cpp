// How fast one thread makes network inputs of the JPEG files of a folder: the loader's whole work, from bytes
// to normalised floats. bench/peers/torchvision_images.py does the same.
//
//   bench_image FOLDER --benchmark_repetitions=5
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>

#include "bench/run.h"
#include "data/cifar.h"
#include "data/loader.h"

namespace {

using namespace ds;

Dataset jpeg_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string extension = entry.path().extension();
    std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
    if (extension == ".jpg" || extension == ".jpeg") files.push_back(entry.path());
  }
  const auto count = static_cast<int64_t>(files.size());
  return {{},
          Tensor::zeros({count}, DType::kI64),
          {},
          std::make_shared<ImageFiles>(std::move(files), Framing(), true)};
}

void load(benchmark::State& state, const Dataset& images, const LoaderOptions& options) {
  DataLoader loader(images, options);
  for (auto _ : state) {
    for (const Batch& batch : loader) benchmark::DoNotOptimize(batch.images.raw());
  }
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(images.size()), benchmark::Counter::kIsIterationInvariantRate);
}

void set_up(const std::string& folder) {
  const Dataset images = jpeg_files(folder);
  // All of an image, the shorter side 256, a square of 224 from the middle.
  const LoaderOptions evaluation{.batch = 32, .workers = 0, .normalization = imagenet_normalization()};
  // A random part, resized to 224 x 224, flipped every other time.
  LoaderOptions training = evaluation;
  training.random_resized_crop.emplace();
  training.augment = {random_flip()};
  benchmark::RegisterBenchmark("evaluation", load, images, evaluation)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("training", load, images, training)->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') {
    fmt::print(stderr, "usage: bench_image FOLDER [--benchmark_...]\n");
    return 1;
  }
  const std::string folder = argv[1];
  argv[1] = argv[0];  // what follows the folder is Google Benchmark's
  return bench::run(argc - 1, argv + 1, [&] { set_up(folder); });
}
